import type { LedgerLine } from '../support/ledger.ts'
import type { ProcessLife } from './evidence.ts'

/** One run of a handler, as the ledger has it. Instants are `machineMs`. */
export interface Run {
  readonly id: string
  readonly attempt: number
  readonly pid: number
  readonly thread: number
  readonly startedAt: number
  /** The move that it made: the value of `do` for this attempt. */
  readonly move: string
  /** What is known for certain: it was still there then. */
  lastSeenAt: number
  how: 'returned' | 'threw' | 'vanished'
  /** Its signal was aborted, with this code. */
  aborted: string | undefined
}

/** The runs of every job, each job's in the order in which they began. */
export function runsOf(
  lines: readonly LedgerLine[],
  lives: readonly ProcessLife[],
): ReadonlyMap<string, readonly Run[]> {
  const runs = new Map<string, Run[]>()
  const open = new Map<string, Run>()
  for (const line of lines) {
    const place = `${line.pid} ${line.thread} ${line.id}`
    if (line.kind === 'start') {
      const run: Run = {
        id: line.id,
        attempt: line.attempt,
        pid: line.pid,
        thread: line.thread,
        startedAt: line.atMs,
        move: String(line['do']),
        lastSeenAt: line.atMs,
        how: 'vanished',
        aborted: undefined,
      }
      open.set(place, run)
      const before = runs.get(line.id)
      if (before) before.push(run)
      else runs.set(line.id, [run])
      continue
    }
    const run = open.get(place)
    if (!run) continue
    run.lastSeenAt = line.atMs
    if (line.kind === 'abort') run.aborted ??= String(line['code'])
    if (line.kind === 'end') run.how = line['how'] === 'returned' ? 'returned' : 'threw'
  }
  const ends = new Map(lives.map(({ pid, endedAt }) => [pid, endedAt]))
  for (const each of runs.values()) {
    each.sort((a, b) => a.startedAt - b.startedAt)
    for (const run of each) {
      run.lastSeenAt = Math.min(run.lastSeenAt, ends.get(run.pid) ?? Number.POSITIVE_INFINITY)
    }
  }
  return runs
}

/** Moves that end a run without a last word, by their own doing. */
const runaways = new Set([
  'exit',
  'timer-throw',
  'fill-heap',
  'loop',
  'loop-alive',
  'read-fifo',
  'kill-process',
])
/** Moves whose throwing does not count as a failure. */
const uncounted = new Set(['snooze', 'snooze-first'])

/** This run failed by its own doing, so that it counts as an attempt. */
export function failedItself(run: Run): boolean {
  if (run.how === 'threw') return !uncounted.has(run.move) && run.aborted === undefined
  // Past its deadline, however it ended then.
  if (run.how === 'returned') return false
  return runaways.has(run.move)
}
