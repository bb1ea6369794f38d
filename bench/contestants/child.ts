import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { type KeptProcess, startKeptProcess } from '#src/broker/kept-process.js'
import { BenchError } from '../bench-error.ts'
import { burnVariable } from '../measure/work.ts'
import type { RunOptions } from '../scenario.ts'
import { LogFile } from './log-file.ts'

const shownLines = 10

/** A Node process under test. */
export type Child = {
  readonly pid: number
  /** Rejects, with its last lines, when it ends by itself; never resolves. */
  readonly failure: Promise<never>
  /** Its last lines. */
  tail(): readonly string[]
  /** Settles, never rejects, when it is gone and all that it wrote was read. */
  readonly ended: Promise<void>
  stop(): Promise<void>
}

/** Starts a script with nothing of our settings in its environment, and ends it when the run is over. */
export async function startChild(
  run: RunOptions,
  options: {
    script: string
    args?: readonly string[]
    environment?: Record<string, string>
    /** Whether it is what is measured, so that a profile of it is wanted. @default false */
    isProfiled?: boolean
    onLine?: (line: string) => void
    /** Where its output goes, for one that writes much: reading it would take time from what is measured. @default it is read */
    logFile?: string
  },
): Promise<Child> {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(MILLRACE|NATS|PG)/.test(name))
  const profile =
    options.isProfiled && run.profileDir !== undefined
      ? ['--cpu-prof', `--cpu-prof-dir=${run.profileDir}`]
      : []
  const child: KeptProcess = await startKeptProcess({
    binary: run.node,
    args: [...profile, options.script, ...(options.args ?? [])],
    environment: {
      ...Object.fromEntries(inherited),
      [burnVariable]: String(run.burnRounds),
      ...options.environment,
    },
    ...(options.logFile !== undefined && { logFile: options.logFile }),
  })
  const { tail, closed } =
    options.logFile === undefined
      ? readOutput(child.output!, options.onLine)
      : { tail: () => new LogFile(options.logFile!).tail(shownLines), closed: undefined }
  const ended = Promise.all([child.ended, closed]).then(() => {})
  let stopping = false
  const failure = ended.then<never>(() => {
    if (stopping) return new Promise<never>(() => {})
    throw new BenchError(`${options.script} ended by itself; its last lines:\n${tail().join('\n')}`)
  })
  // Whoever waits for something races against this; nobody may be waiting when it happens.
  failure.catch(() => {})
  const stop = () => {
    stopping = true
    return child.stop()
  }
  run.endings.add(stop)
  return { pid: child.pid, failure, tail, ended, stop }
}

function readOutput(output: Readable, onLine: ((line: string) => void) | undefined) {
  const last: string[] = []
  const lines = createInterface({ input: output })
  lines.on('line', (line) => {
    last.push(line)
    if (last.length > shownLines) last.shift()
    onLine?.(line)
  })
  return { tail: () => last, closed: once(lines, 'close') }
}

/**
 * Runs a script to its end and answers the JSON object in its last line.
 *
 * @throws {BenchError} with its last lines, when it ends without one.
 */
export async function runChild<Answer>(
  run: RunOptions,
  options: Parameters<typeof startChild>[1],
): Promise<Answer> {
  const child = await startChild(run, options)
  await child.ended
  try {
    return JSON.parse(child.tail().at(-1)!) as Answer
  } catch {
    throw new BenchError(`${options.script} did not succeed; its last lines:\n${child.tail().join('\n')}`)
  }
}
