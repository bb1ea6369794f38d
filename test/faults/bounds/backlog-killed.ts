import { eventually } from '../../support/eventually.ts'
import { World } from '../../support/world.ts'
import { boundsHandlers, type Row, readTally, Scope } from './bound.ts'

/** A broker that is killed forgets the acks of its last moments; most of these jobs are known here when they come back. */
const limitShare = 0.01
const batch = 1_000

/** How many jobs run again when the broker is killed while one supervisor works off very many that wait. */
export function backlogKilled({ jobs }: { jobs: number }): Promise<Row> {
  return Scope.of(async (scope) => {
    const world = await World.create(scope, {
      env: { MILLRACE_HANDLERS: boundsHandlers, MILLRACE_JOB_LOGS: 'errors' },
    })
    const { broker, ledger, server } = world
    const maker = await world.supervise()
    await maker.stop(60_000)
    for (let n = 0; n < jobs; n += batch) {
      const last = Math.min(jobs, n + batch) - 1
      for (let of = n; of < last; of += 1) broker.nc.publish('jobs.tally', JSON.stringify({ n: of }))
      await broker.enqueue('tally', { n: last })
    }
    await world.supervise()
    const handedOut = async (): Promise<{ num_pending: number; num_ack_pending: number }> =>
      broker.jsm.consumers.info('JOBS', 'tally')
    await eventually(
      'two thirds are handed out',
      async () => (await handedOut()).num_pending < jobs / 3,
      600_000,
    )
    const { num_ack_pending: unacked } = await handedOut()
    server.kill('SIGKILL')
    await server.ended()
    await server.restart()
    const isDone = async (): Promise<boolean> => {
      const { num_pending, num_ack_pending } = await handedOut()
      return num_pending + num_ack_pending === 0
    }
    await eventually('all is done', isDone, 600_000)
    const { lost, repeated } = readTally(ledger, jobs)
    return {
      bound: `jobs that run again when the broker is killed while ${jobs} that waited are worked off`,
      limit: `0 lost, at most ${limitShare * 100} % again`,
      measured: `${lost} lost, ${repeated} again`,
      holds: lost === 0 && repeated <= jobs * limitShare,
      detail: `${unacked} were handed out and not acked just before`,
      values: [lost, repeated],
    }
  })
}
