import { createInterface } from 'node:readline'
import { type KeptProcess, startKeptProcess } from '#src/broker/kept-process.js'
import { BenchError } from '../bench-error.ts'

const shownLines = 10

/** A Node process under test. */
export type Child = {
  readonly pid: number
  /** Rejects, with its last lines, when it ends by itself; never resolves. */
  readonly failure: Promise<never>
  /** Its last lines. */
  readonly tail: readonly string[]
  readonly ended: Promise<void>
  stop(): Promise<void>
}

/** Starts a script of ours with nothing of our settings in its environment, and reads its output. */
export async function startChild(options: {
  script: string
  args?: readonly string[]
  environment?: Record<string, string>
  profileDir?: string | undefined
  onLine?: (line: string) => void
}): Promise<Child> {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(MILLRACE|NATS)_/.test(name))
  const { profileDir } = options
  const child: KeptProcess = await startKeptProcess({
    binary: process.execPath,
    args: [
      ...(profileDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`]),
      options.script,
      ...(options.args ?? []),
    ],
    environment: { ...Object.fromEntries(inherited), ...options.environment },
  })
  const tail: string[] = []
  createInterface({ input: child.output! }).on('line', (line) => {
    tail.push(line)
    if (tail.length > shownLines) tail.shift()
    options.onLine?.(line)
  })
  let stopping = false
  const failure = child.ended.then<never>(() => {
    if (stopping) return new Promise<never>(() => {})
    throw new BenchError(`${options.script} ended by itself; its last lines:\n${tail.join('\n')}`)
  })
  // Whoever waits for something races against this; nobody may be waiting when it happens.
  failure.catch(() => {})
  return {
    pid: child.pid,
    failure,
    tail,
    ended: child.ended,
    stop() {
      stopping = true
      return child.stop()
    },
  }
}
