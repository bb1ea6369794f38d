import type { Fault } from '../fault.ts'
import { ackWaitMs, type Stage } from '../stage.ts'
import { ClusterBroker } from '../stage-broker.ts'
import { lasting } from './lasting.ts'

function clusterOf(stage: Stage): ClusterBroker['cluster'] {
  if (!(stage.broker instanceof ClusterBroker)) throw new Error('this fault is for a cluster')
  return stage.broker.cluster
}

function ofLeader(
  name: string,
  strike: (cluster: ClusterBroker['cluster'], leader: string) => Promise<void>,
): Fault {
  return {
    name: `leader of the job stream ${name}`,
    powers: ['repeat', 'charge often', 'overlap'],
    async strike(stage) {
      const cluster = clusterOf(stage)
      await strike(cluster, await cluster.leaderOf('JOBS'))
      await cluster.leaderOf('JOBS', 60_000)
      return undefined
    },
  }
}

/**
 * What can happen to the leader of the job stream in a cluster. That it is cut off from the others is measured among
 * the bounds, on a cluster of its own: the servers may take minutes until all of them are current again.
 */
export const clusterFaults: readonly Fault[] = [
  ofLeader('killed', async (cluster, leader) => {
    await cluster.kill(leader)
    await lasting(ackWaitMs)
    await cluster.restart(leader)
  }),
  ofLeader('stopped', async (cluster, leader) => {
    await cluster.kill(leader, 'SIGTERM')
    await cluster.restart(leader)
  }),
  ofLeader('paused', async (cluster, leader) => {
    cluster.pause(leader)
    await lasting(ackWaitMs * 2)
    cluster.resume(leader)
  }),
]
