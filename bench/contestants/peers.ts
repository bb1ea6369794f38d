import { postgresWith } from '../servers/postgres.ts'
import { redisWith } from '../servers/redis.ts'
import type { ServerProgram, StartServer } from '../servers/server.ts'
import type { Contestant } from './contestant.ts'
import { type Peer, peerContestant } from './peer.ts'

/** The servers that were found; empty until somebody asked for other job systems. */
export const servers: { redis?: ServerProgram; postgres?: ServerProgram } = {}

const redis = (appendonly: boolean) => (): StartServer | undefined =>
  servers.redis && redisWith(servers.redis, appendonly)
const postgres = (isSynchronous: boolean) => (): StartServer | undefined =>
  servers.postgres && postgresWith(servers.postgres, isSynchronous)

function bullmq(concurrency: number, appendonly: boolean, share: number): Contestant {
  return peerContestant({
    name: `BullMQ, ${concurrency} at once${appendonly ? ', AOF' : ''}`,
    about:
      `In process, concurrency ${concurrency} (https://docs.bullmq.io/guide/workers/concurrency); Redis ` +
      `${appendonly ? 'with appendonly, synced every second' : 'that writes nothing to disk'}.`,
    system: 'bullmq',
    server: redis(appendonly),
    settings: { concurrency },
    share,
  })
}

function sandboxed(appendonly: boolean): Contestant {
  return peerContestant({
    name: `BullMQ, threads${appendonly ? ', AOF' : ''}`,
    about:
      'Sandboxed processors in worker threads, concurrency 2 (https://docs.bullmq.io/guide/workers/sandboxed-processors); Redis ' +
      `${appendonly ? 'with appendonly, synced every second' : 'that writes nothing to disk'}.`,
    system: 'bullmq',
    server: redis(appendonly),
    settings: { concurrency: 2, isSandboxed: true },
    share: 0.05,
  })
}

function graphile(name: string, localQueueSize: number, isSynchronous: boolean): Contestant {
  const settings = { concurrency: 24, localQueueSize }
  const peer: Peer = {
    name,
    about:
      `24 jobs at once, local queue of ${localQueueSize}, completions in batches (https://worker.graphile.org/docs/performance)` +
      `${isSynchronous ? '.' : '; PostgreSQL with synchronous_commit off.'}`,
    system: 'graphile-worker',
    server: postgres(isSynchronous),
    settings,
    share: 0.3,
    leastJobs: 3 * localQueueSize,
  }
  return peerContestant(peer)
}

/** In process, one after the other. */
export const bullmqOnes: readonly Contestant[] = [bullmq(1, false, 0.05), bullmq(1, true, 0.05)]
/** In process: as many at once as its documentation suggests, and more, on a Redis that keeps what it has. */
export const bullmqBest: readonly Contestant[] = [
  bullmq(50, false, 0.2),
  bullmq(50, true, 0.2),
  bullmq(200, false, 0.2),
  bullmq(200, true, 0.2),
]
/** In threads: the only other way that can end a job. */
export const bullmqThreads = sandboxed(true)
/** Those, on a Redis that keeps what it has and on one that does not. */
export const bullmqSandboxes: readonly Contestant[] = [sandboxed(false), bullmqThreads]
/** Several processes, as its documentation recommends, for jobs that compute. */
export const bullmqProcesses = peerContestant({
  name: 'BullMQ, 2 processes, AOF',
  about:
    'Two worker processes, which is the setup that its documentation recommends, concurrency 4 each; Redis with appendonly, synced every second.',
  system: 'bullmq',
  server: redis(true),
  settings: { concurrency: 4 },
  processes: 2,
})
/** With the size of its own performance test, and with the fastest that we know. */
export const graphileWorkers: readonly Contestant[] = [
  graphile('graphile-worker', 500, true),
  graphile('graphile-worker, queue of 2,000', 2_000, true),
  graphile('graphile-worker, async commit', 2_000, false),
]
/** The same for this one; a short queue, so that neither process is done long before the other. */
export const graphileProcesses = peerContestant({
  name: 'graphile-worker, 2 processes',
  about: 'Two worker processes with 4 jobs at once and a local queue of 16 each.',
  system: 'graphile-worker',
  server: postgres(true),
  settings: { concurrency: 4, localQueueSize: 16 },
  processes: 2,
})
export const pgBoss = peerContestant({
  name: 'pg-boss, batches of 1,000',
  about:
    'batchSize 1,000, localConcurrency 4, burstWhenBatchFull, LISTEN/NOTIFY; a batch is completed as one ' +
    '(https://pgboss.io/api/workers).',
  system: 'pg-boss',
  server: postgres(true),
  settings: { batchSize: 1_000, localConcurrency: 4 },
  share: 0.3,
  leastJobs: 12_000,
})

/** Those that lose a second of jobs at most when the power fails. */
export const durablePeers: readonly Contestant[] = [
  ...bullmqBest.filter(({ name }) => name.endsWith('AOF')),
  ...graphileWorkers,
  pgBoss,
]

/** All of them, in the order of the tables. */
export const peers: readonly Contestant[] = [
  ...bullmqOnes,
  ...bullmqBest,
  ...bullmqSandboxes,
  ...graphileWorkers,
  pgBoss,
]
