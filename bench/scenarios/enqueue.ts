import { bare, raw, rawWithIds, rawWithReplies } from '../contestants/bare.ts'
import type { Contestant, EnqueueMode } from '../contestants/contestant.ts'
import { millrace } from '../contestants/millrace.ts'
import { bullmqBest, graphileWorkers, pgBoss } from '../contestants/peers.ts'
import type { Named, Scenario } from '../scenario.ts'

const handler = 'noop'
const payloadBytes = 256

/** One system, enqueuing in one way. */
type Enqueuer = Named & { contestant: Contestant; mode: EnqueueMode; share: number }

/** Shares are of half the jobs of a drain, so that all take long enough; half of that counts. */
function enqueuer(contestant: Contestant, title: string, mode: EnqueueMode, share: number): Enqueuer {
  const isAvailable = contestant.isAvailable?.bind(contestant)
  return {
    name: `${title}, ${mode}`,
    isOwn: contestant === millrace,
    ...(isAvailable && { isAvailable }),
    contestant,
    mode,
    share,
  }
}

/** How fast an application gets rid of its jobs. */
export const enqueue: Scenario = {
  name: 'enqueue',
  title: 'Enqueue, 256 bytes',
  method:
    'A process enqueues jobs as fast as it can, and every job counts when the server has confirmed it: one by one; pipelined, which is many calls ' +
    'of which none waits for another (2,000 on NATS, 100 elsewhere); in bulk, which is one call for many (an iterator with Millrace, ' +
    "1,000 jobs a call elsewhere). The first half does not count, but for the server's processor time. Compared with messages written by hand to a socket and confirmed by the " +
    'server, 2,000 under way, without ids and with one subject for all answers. Millrace gives each job an id, and a reply subject by which it knows whose answer it is; what these ' +
    'cost the server is in the lines of the raw protocol with them. What was confirmed is not on disk everywhere: nats-server and Redis sync each second, ' +
    'PostgreSQL with each commit, which is once for each job or for each call of many. A run counts only if the server has exactly the jobs that were sent.',
  contestants: [
    enqueuer(raw, 'raw protocol', 'pipelined', 4),
    enqueuer(raw, 'raw protocol', 'one by one', 0.1),
    enqueuer(rawWithIds, 'raw protocol with ids', 'pipelined', 4),
    enqueuer(rawWithReplies, 'raw protocol with ids and replies', 'pipelined', 4),
    enqueuer(bare, 'nats.js', 'pipelined', 0.5),
    enqueuer(bare, 'nats.js', 'one by one', 0.1),
    enqueuer(millrace, 'millrace', 'bulk', 4),
    enqueuer(millrace, 'millrace', 'pipelined', 4),
    enqueuer(millrace, 'millrace', 'one by one', 0.1),
    ...[bullmqBest[1]!, graphileWorkers[1]!, pgBoss].flatMap((contestant, index) => {
      const title = ['BullMQ, AOF', 'graphile-worker', 'pg-boss'][index]!
      // A commit for each job.
      const singles = index === 0 ? 0.1 : 0.02
      return [
        enqueuer(contestant, title, 'bulk', 0.3),
        enqueuer(contestant, title, 'pipelined', singles),
        enqueuer(contestant, title, 'one by one', singles / 2),
      ]
    }),
  ],
  quick: ['raw protocol, pipelined', 'nats.js, one by one', 'millrace, bulk', 'millrace, pipelined'],
  measures: [
    { key: 'jobsPerSecond', label: 'jobs/s', digits: 0 },
    { key: 'clientCpuUs', label: 'CPU per job, client, µs', digits: 1 },
    { key: 'serverCpuUs', label: 'server, µs', digits: 1 },
  ],
  goals: [
    {
      measure: 'jobsPerSecond',
      of: 'millrace, bulk',
      against: ['raw protocol, pipelined'],
      atLeast: 0.85,
    },
    {
      measure: 'jobsPerSecond',
      of: 'millrace, pipelined',
      against: ['raw protocol, pipelined'],
      atLeast: 0.85,
    },
  ],
  async run(named, options) {
    const { contestant, mode, share } = named as Enqueuer
    const jobs = Math.max(500, Math.ceil((options.jobs / 2) * share))
    const ground = await contestant.open(options, [handler])
    const serverMs = ground.serverCpuMs()
    const enqueued = await ground.enqueue(handler, mode, jobs, payloadBytes)
    const serverCpuUs = ((ground.serverCpuMs() - serverMs) * 1_000) / jobs
    await ground.checkStored(handler, jobs)
    return {
      jobsPerSecond: enqueued.jobs / (enqueued.elapsedMs / 1_000),
      clientCpuUs: (enqueued.clientCpuMs * 1_000) / enqueued.jobs,
      serverCpuUs,
    }
  },
}
