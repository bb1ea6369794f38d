import path from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { startKeptProcess } from '#src/broker/kept-process.js'
import { DemoError } from './demo-error.ts'

const readyMs = 20_000
const shownLines = 10

/** One line of the supervisor's log. */
export type LogLine = { msg: string } & Record<string, unknown>

/** How to run a supervisor. */
export type SupervisorOptions = {
  /** Its settings; nothing else of the MILLRACE_ and NATS_ families reaches it. */
  settings: Record<string, string>
  /** Removed when the demo dies without stopping the supervisor. */
  scratchDir: string
  onLine: (line: LogLine) => void
}

/** A running supervisor. */
export type SupervisorProcess = {
  /** Where `/metrics`, `/readyz` and `/healthz` are. */
  readonly url: string
  readonly pid: number
  /** Rejects when the supervisor ends although nobody asked it to; never resolves. */
  readonly failure: Promise<never>
  /** Lets it drain and waits for its end. */
  stop(): Promise<void>
}

/**
 * Starts `node dist/supervisor.js` and waits until it is ready.
 *
 * @throws {DemoError} with the end of its log when it ends instead, or takes too long.
 */
export async function startSupervisor(options: SupervisorOptions): Promise<SupervisorProcess> {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(MILLRACE|NATS)_/.test(name))
  const supervisor = await startKeptProcess({
    binary: process.execPath,
    args: [path.resolve(import.meta.dirname, '../../dist/supervisor.js')],
    environment: { ...Object.fromEntries(inherited), ...options.settings },
    scratchDir: options.scratchDir,
  })

  const tail: string[] = []
  let stopping = false
  const failure = supervisor.ended.then<never>(() => {
    if (stopping) return new Promise<never>(() => {})
    throw new DemoError(`the supervisor ended by itself; its last lines:\n${tail.join('\n')}`)
  })
  // Whoever waits for something races against this; nobody may be waiting when it happens.
  failure.catch(() => {})

  const listening = new Promise<string>((resolve) => {
    createInterface({ input: supervisor.output! }).on('line', (text) => {
      tail.push(text)
      if (tail.length > shownLines) tail.shift()
      const line = parseLine(text)
      if (line === undefined) return
      if (line.msg === 'listening') resolve(String(line['url']))
      options.onLine(line)
    })
  })
  const stop = () => {
    stopping = true
    return supervisor.stop()
  }
  try {
    const url = await Promise.race([listening, failure, timeOut('it printed "listening"', tail)])
    await Promise.race([untilReady(url), failure, timeOut(`${url}/readyz answered 200`, tail)])
    return { url, pid: supervisor.pid, failure, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function untilReady(url: string): Promise<void> {
  while (!(await fetch(`${url}/readyz`)).ok) await wait(50)
}

async function timeOut(what: string, tail: readonly string[]): Promise<never> {
  await wait(readyMs, undefined, { ref: false })
  throw new DemoError(
    `the supervisor took longer than ${readyMs} ms until ${what}; its last lines:\n${tail.join('\n')}`,
  )
}

/** What is not JSON is a warning of Node's or a stack: it stays in the tail only. */
function parseLine(text: string): LogLine | undefined {
  try {
    return JSON.parse(text) as LogLine
  } catch {
    return undefined
  }
}
