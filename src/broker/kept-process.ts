import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { MillraceError } from '../core/errors.ts'

/** Longer than the keeper itself waits before it sends SIGKILL. */
const keeperMs = 8_000

/** What {@link startKeptProcess} starts. */
export type KeptProcessOptions = {
  binary: string
  args: readonly string[]
  /** Both outputs are appended here. @default they can be read from `output` */
  logFile?: string
  /** @default process.env */
  environment?: NodeJS.ProcessEnv
  /** Removed by the keeper when this process dies without calling `stop`. */
  scratchDir?: string | undefined
}

/** A process that cannot outlive this one. */
export type KeptProcess = {
  readonly pid: number
  /** Both outputs of the process, unless they go to a file. Must be read, or the process blocks. */
  readonly output: Readable | null
  /** Whether the process still runs; a stopped (SIGSTOP) one does. */
  isAlive(): boolean
  /** Settles, never rejects, when the process is gone. */
  readonly ended: Promise<void>
  /** Sends a signal to the process itself, not its keeper. Answers false when it is gone already. */
  kill(signal: NodeJS.Signals): boolean
  /** Ends the process by SIGTERM, and SIGKILL 5 s later; calling it again waits for the same end. */
  stop(): Promise<void>
}

/**
 * Starts a process below a keeper (`keeper.ts`) whose stdin we hold, so that it ends with this
 * process even when that is killed.
 *
 * @throws {MillraceError} `broker_unreachable` when the binary cannot be started.
 */
export async function startKeptProcess(options: KeptProcessOptions): Promise<KeptProcess> {
  const log = options.logFile === undefined ? 'pipe' : openSync(options.logFile, 'a')
  const keeper = spawn(
    process.execPath,
    [path.join(import.meta.dirname, 'keeper.js'), options.scratchDir ?? '', options.binary, ...options.args],
    // NODE_OPTIONS may hold an inspector port or a loader that is meant for us only.
    {
      detached: true,
      stdio: ['pipe', 'pipe', log],
      env: { ...(options.environment ?? process.env), NODE_OPTIONS: '' },
    },
  )
  if (log !== 'pipe') closeSync(log)
  // The keeper may end before it reads our order; its end is what counts.
  keeper.stdin!.on('error', () => {})
  const keeperEnded = endOf(keeper)
  const pid = await readPid(keeper, keeperEnded, options.binary)
  const ended = keeperEnded.then((killedBy) => {
    // The keeper ends after its child, unless somebody killed the keeper itself.
    if (killedBy !== null) signal(pid, 'SIGKILL')
  })
  let alive = true
  void ended.then(() => {
    alive = false
  })
  return {
    pid,
    output: keeper.stderr,
    ended,
    isAlive: () => alive,
    kill: (name) => alive && signal(pid, name),
    async stop() {
      keeper.stdin!.end('stop\n')
      const lastResort = setTimeout(() => keeper.kill('SIGKILL'), keeperMs)
      await ended
      clearTimeout(lastResort)
    },
  }
}

/** The signal that ended the keeper, or null when it ended by itself or never started. */
function endOf(keeper: ChildProcess): Promise<NodeJS.Signals | null> {
  return new Promise((resolve) => {
    keeper.once('exit', (_code, killedBy) => resolve(killedBy))
    keeper.once('error', () => resolve(null))
  })
}

async function readPid(keeper: ChildProcess, keeperEnded: Promise<unknown>, binary: string): Promise<number> {
  const lines = createInterface({ input: keeper.stdout! })
  const first = await Promise.race([once(lines, 'line'), keeperEnded.then(() => [])])
  lines.close()
  const pid = Number(first[0])
  if (Number.isInteger(pid) && pid > 0) return pid
  throw new MillraceError('broker_unreachable', `${binary} cannot be started`)
}

function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name)
  } catch {
    return false
  }
}
