import { isOlder } from '#src/broker/find-server.js'
import type { Cluster } from '../../support/cluster.ts'
import { serverVersion } from '../../support/nats-server.ts'
import type { Fault } from '../fault.ts'
import { ackWaitMs, type Stage } from '../stage.ts'
import { ClusterBroker } from '../stage-broker.ts'
import { lasting } from './lasting.ts'

/** As long as the servers may take to agree on all leaders when every core is busy. */
const agreeMs = 120_000

function clusterOf(stage: Stage): Cluster {
  if (!(stage.broker instanceof ClusterBroker)) throw new Error('this fault is for a cluster')
  return stage.broker.cluster
}

/** The trouble lasts so long, or until the others have another leader; it has healed when all have and follow one. */
function ofLeader(
  name: string,
  begin: (cluster: Cluster, leader: string) => Promise<void> | void,
  end: (cluster: Cluster, leader: string) => Promise<void> | void,
  lastsMs?: number,
): Fault {
  return {
    name: `leader of the job stream ${name}`,
    // A leader delivers before the others know of it: the next one may count a delivery less.
    powers: ['repeat', 'charge often', 'overlap', 'forget'],
    async strike(stage) {
      const cluster = clusterOf(stage)
      const leader = await cluster.leaderOf('JOBS', agreeMs)
      await begin(cluster, leader)
      await (lastsMs === undefined ? cluster.takenOver('JOBS', leader, agreeMs) : lasting(lastsMs))
      await end(cluster, leader)
      await cluster.whole(agreeMs)
      return undefined
    },
  }
}

/**
 * Why a partition does not strike on this server; undefined where it does.
 *
 * A candidate that was cut off has a log that is too old to be elected, but on 2.9.10 each of its requests for a vote
 * makes the others, which could be, wait for their own election anew. Which of them stands first is left to chance,
 * for each stream and consumer, and for the last of them that may take minutes. Since 2.9.15 who refuses a vote
 * because its own log is newer stands at once.
 */
export const partitionTooLong: string | undefined = isOlder(serverVersion, '2.10.0')
  ? `a cluster of nats-server ${serverVersion} may take minutes to elect leaders after a partition`
  : undefined

const cutOff = ofLeader(
  'cut off from the others',
  (cluster, leader) => cluster.partition(leader),
  (cluster) => cluster.heal(),
)

/** What can happen to the leader of the job stream in a cluster of this server. */
export const clusterFaults: readonly Fault[] = [
  ofLeader(
    'killed',
    (cluster, leader) => cluster.kill(leader),
    (cluster, leader) => cluster.restart(leader),
  ),
  ofLeader(
    'stopped',
    (cluster, leader) => cluster.kill(leader, 'SIGTERM'),
    (cluster, leader) => cluster.restart(leader),
  ),
  ofLeader(
    'paused',
    (cluster, leader) => cluster.pause(leader),
    (cluster, leader) => cluster.resume(leader),
    // After a longer one the old leader disturbs elections as after a partition.
    partitionTooLong === undefined ? undefined : ackWaitMs * 1.5,
  ),
  ...(partitionTooLong === undefined ? [cutOff] : []),
]
