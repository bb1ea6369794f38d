import { backlogKilled } from './backlog-killed.ts'
import type { Row } from './bound.ts'
import { restartedBroker } from './broker-restarted.ts'
import { leaderLost } from './cluster-leader.ts'
import { deadConnection } from './dead-connection.ts'
import { deleted } from './deleted.ts'
import { duplicates } from './duplicates.ts'
import { interruptedReplay } from './interrupted-replay.ts'
import { manyJobs } from './many-jobs.ts'
import { shutdown, shutdownScenes } from './shutdown.ts'
import { killedSupervisor } from './supervisor-killed.ts'
import { threadRestarts } from './thread-restarts.ts'

export interface BoundsRun {
  narrate(line: string): void
  /** As often as it takes to trust the numbers, an hour or so; else a few minutes. */
  long: boolean
}

/** Measures every bound, one after the other. What cannot be measured is a row that does not hold. */
export async function runBounds({ narrate, long }: BoundsRun): Promise<Row[]> {
  const some = (few: number, many: number): number => (long ? many : few)
  const measurements: (() => Promise<Row>)[] = [
    () => killedSupervisor({ kills: some(3, 30) }),
    ...(['SIGKILL', 'SIGTERM'] as const).map(
      (signal) => () => restartedBroker({ signal, restarts: some(6, 50), awayMs: 6_000 }),
    ),
    ...(['killed', 'paused', 'partitioned'] as const).map(
      (trouble) => () => leaderLost({ trouble, times: some(1, 5) }),
    ),
    ...(
      ['consumer', 'job stream', 'dead-letter stream', 'bucket of attempts', 'bucket of controls'] as const
    ).map((what) => () => deleted({ what, times: some(5, 30) })),
    ...(['half-open', 'blackhole', 'to-server-lost', 'to-client-lost'] as const).map(
      (death) => () => deadConnection({ death, times: some(1, 5) }),
    ),
    ...shutdownScenes.map((scene) => () => shutdown({ scene, times: some(1, 10) })),
    () => threadRestarts({ restarts: some(200, 10_000), warmUp: some(100, 500) }),
    ...(['SIGTERM', 'broker paused', 'connection reset'] as const).map(
      (fault) => () => duplicates({ fault, jobs: some(500, 5_000), faults: some(5, 50) }),
    ),
    () => backlogKilled({ jobs: some(100_000, 1_500_000) }),
    () => interruptedReplay({ deadLetters: some(1_000, 10_000), kills: some(4, 16), seed: 1 }),
    // The first million is not enough for memory to settle.
    () => manyJobs({ jobs: some(20_000, 3_000_000) }),
  ]
  const rows: Row[] = []
  for (const measure of measurements) {
    const row = await measure().catch((error: unknown): Row => {
      const measured = error instanceof Error ? error.message : String(error)
      return { bound: `measurement ${rows.length + 1}`, limit: '', measured, holds: false, values: [] }
    })
    rows.push(row)
    narrate(`${row.holds ? 'holds' : 'MISSED'}: ${row.bound}: ${row.measured} (limit ${row.limit})`)
  }
  return rows
}
