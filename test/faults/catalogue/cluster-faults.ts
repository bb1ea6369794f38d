import { isOlder } from '#src/broker/find-server.js'
import type { Cluster } from '../../support/cluster.ts'
import { serverVersion } from '../../support/nats-server.ts'
import type { Fault } from '../fault.ts'
import type { Stage } from '../stage.ts'
import { ClusterBroker } from '../stage-broker.ts'

/** As long as the servers may take to agree on all leaders when every core is busy. */
const agreeMs = 120_000

function clusterOf(stage: Stage): Cluster {
  if (!(stage.broker instanceof ClusterBroker)) throw new Error('this fault is for a cluster')
  return stage.broker.cluster
}

/** The trouble lasts until the others have another leader; it has healed when all have and follow one. */
function ofLeader(
  name: string,
  begin: (cluster: Cluster, leader: string) => Promise<void> | void,
  end: (cluster: Cluster, leader: string) => Promise<void> | void,
): Fault {
  return {
    name: `leader of the job stream ${name}`,
    // A leader delivers before the others know of it: the next one may count a delivery less.
    powers: ['repeat', 'charge often', 'overlap', 'forget'],
    async strike(stage) {
      const cluster = clusterOf(stage)
      const leader = await cluster.leaderOf('JOBS', agreeMs)
      await begin(cluster, leader)
      await cluster.takenOver('JOBS', leader, agreeMs)
      await end(cluster, leader)
      await cluster.whole(agreeMs)
      return undefined
    },
  }
}

/**
 * Why a paused leader does not strike on this server; undefined where it does.
 *
 * A candidate that was away has a log that is too old to be elected, but on 2.9.10 each of its requests for a vote
 * makes the others, which could be, wait for their own election anew. Which of them stands first is left to chance,
 * for each stream and consumer, and for the last of them that may take minutes. Since 2.9.15 who refuses a vote
 * because its own log is newer stands at once.
 */
const whyNotPaused = isOlder(serverVersion, '2.10.0')
  ? `a cluster of nats-server ${serverVersion} may take minutes to elect leaders after a partition or a pause`
  : undefined

/** Why a leader is not cut off from the others on this server. 2.10.27 then loses some of what it has acknowledged. */
const whyNotCutOff =
  whyNotPaused ??
  (isOlder(serverVersion, '2.15.0')
    ? `nats-server before 2.15 may lose what a leader that is cut off has acknowledged; this is ${serverVersion}`
    : undefined)

const cutOff = ofLeader(
  'cut off from the others',
  (cluster, leader) => cluster.partition(leader),
  (cluster) => cluster.heal(),
)

/** On a busy machine 2.9 may elect another leader within seconds, and the old one disturbs elections as well. */
const paused = ofLeader(
  'paused',
  (cluster, leader) => cluster.pause(leader),
  (cluster, leader) => cluster.resume(leader),
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
  ...(whyNotPaused === undefined ? [paused] : []),
  ...(whyNotCutOff === undefined ? [cutOff] : []),
]

/** What does not strike on this server, and why. */
export const skippedClusterFaults: readonly [what: string, why: string][] = Object.entries({
  paused: whyNotPaused,
  'cut off': whyNotCutOff,
}).flatMap(([what, why]) => (why === undefined ? [] : [[what, why]]))
