import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { until } from '../support/until.js'

const entry = fileURLToPath(new URL('../../../dist/supervisor.js', import.meta.url))

/** A supervisor as a process of its own, as the image and the unit start it. */
export interface SupervisorProcess {
  /** Everything that it wrote so far. */
  readonly output: string
  /** Waits until the output has this. */
  said(what: string | RegExp): Promise<void>
  /** Sends SIGTERM; answers the exit code or the signal that ended it. */
  stop(): Promise<number | NodeJS.Signals>
}

/** Starts a supervisor with these variables and no others, and kills it when the test ends. */
export function startSupervisor(t: TestContext, environment: Record<string, string>): SupervisorProcess {
  const child = spawn(process.execPath, [entry], {
    env: { PATH: process.env['PATH'], MILLRACE_HTTP_PORT: '0', MILLRACE_THREADS: '1', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  t.after(async () => {
    child.kill('SIGKILL')
    await ended
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
  }
  return {
    get output() {
      return output
    },
    said: async (what) => {
      const has = () => (typeof what === 'string' ? output.includes(what) : what.test(output))
      await until(has, `the supervisor said ${what}`, 60_000)
    },
    stop: async () => {
      child.kill('SIGTERM')
      const [code, signal] = await ended
      return code ?? signal!
    },
  }
}
