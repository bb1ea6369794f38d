import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { MillraceError } from '../core/errors.ts'

/** Longer than the keeper itself waits before it kills the server. */
const keeperMs = 8_000

/** What {@link startKeptProcess} starts. */
export type KeptProcessOptions = {
  binary: string
  args: readonly string[]
  /** Both outputs of the server are appended here. */
  logFile: string
  /** Removed by the keeper when this process dies without calling `stop`. */
  scratchDir?: string | undefined
}

/** A server process that cannot outlive this process. */
export type KeptProcess = {
  readonly pid: number
  /** Whether the server still runs; a stopped (SIGSTOP) one does. */
  isAlive(): boolean
  /** Settles, never rejects, when the server is gone. */
  readonly ended: Promise<void>
  /** Sends a signal to the server itself. Answers false when it is gone already. */
  kill(signal: NodeJS.Signals): boolean
  /** Ends the server in an orderly way; calling it again waits for the same end. */
  stop(): Promise<void>
}

/**
 * Starts a server below a keeper (`keeper.ts`) whose stdin we hold, so that the server ends with
 * this process even when that is killed.
 *
 * @throws {MillraceError} `broker_unreachable` when the binary cannot be started.
 */
export async function startKeptProcess(options: KeptProcessOptions): Promise<KeptProcess> {
  const log = openSync(options.logFile, 'a')
  const keeper = spawn(
    process.execPath,
    [path.join(import.meta.dirname, 'keeper.js'), options.scratchDir ?? '', options.binary, ...options.args],
    // NODE_OPTIONS may hold an inspector port or a loader that is meant for us only.
    { detached: true, stdio: ['pipe', 'pipe', log], env: { ...process.env, NODE_OPTIONS: '' } },
  )
  closeSync(log)
  // The keeper may end before it reads our order; its end is what counts.
  keeper.stdin!.on('error', () => {})
  const keeperEnded = endOf(keeper)
  const pid = await readPid(keeper, keeperEnded)
  const ended = keeperEnded.then((killedBy) => {
    // The keeper ends after its server, unless somebody killed the keeper itself.
    if (killedBy !== null) signal(pid, 'SIGKILL')
  })
  let alive = true
  void ended.then(() => {
    alive = false
  })
  return {
    pid,
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

async function readPid(keeper: ChildProcess, keeperEnded: Promise<unknown>): Promise<number> {
  const lines = createInterface({ input: keeper.stdout! })
  const first = await Promise.race([once(lines, 'line'), keeperEnded.then(() => [])])
  lines.close()
  const pid = Number(first[0])
  if (Number.isInteger(pid) && pid > 0) return pid
  throw new MillraceError('broker_unreachable', 'nats-server cannot be started')
}

function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name)
  } catch {
    return false
  }
}
