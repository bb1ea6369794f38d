import { World } from '../../support/world.ts'
import { boundsHandlers, footprintOf, quantile, type Row, readTally, Scope, untilLeft } from './bound.ts'

const growthLimitMb = 20
const batch = 500
const mostWaiting = 20_000

/** How the memory of one supervisor develops over very many small jobs, and whether each of them ran. */
export function manyJobs({ jobs }: { jobs: number }): Promise<Row> {
  return Scope.of(async (scope) => {
    const world = await World.create(scope, {
      env: { MILLRACE_HANDLERS: boundsHandlers, MILLRACE_JOB_LOGS: 'errors' },
    })
    const { broker, ledger } = world
    const supervisor = await world.supervise()
    const rss: number[] = []
    const startedAt = performance.now()
    for (let n = 0; n < jobs; n += batch) {
      const bodies = Array.from({ length: Math.min(batch, jobs - n) }, (_, of) => ({ n: n + of }))
      await broker.enqueueAll('tally', bodies)
      if (n % Math.max(batch, Math.floor(jobs / 200)) < batch) {
        rss.push(footprintOf(supervisor.pid).rssMb)
        await untilLeft(broker, supervisor, mostWaiting)
      }
    }
    await untilLeft(broker, supervisor, 0)
    const tookS = (performance.now() - startedAt) / 1_000

    const { lost, repeated } = readTally(ledger, jobs)
    const quarter = Math.floor(rss.length / 4)
    // The rest is garbage that was not collected yet: in an hour without a leak the median moves by 30 MB to and fro.
    const early = quantile(rss.slice(quarter, 2 * quarter), 0.1)
    const late = quantile(rss.slice(3 * quarter), 0.1)
    return {
      bound: `memory over ${jobs} jobs`,
      limit: `RSS of the last quarter at most ${growthLimitMb} MB above the second (the lowest tenth of each), 0 lost`,
      measured: `${Math.round(early)} to ${Math.round(late)} MB, ${lost} lost, ${repeated} repeated`,
      holds: late - early <= growthLimitMb && lost === 0,
      detail: `${Math.round(jobs / tookS)} jobs/s, enqueued by one client meanwhile`,
      values: [late - early, lost, repeated],
    }
  })
}
