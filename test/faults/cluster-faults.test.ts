import { test } from 'node:test'
import { clusterFaults, partitionTooLong } from './catalogue/cluster-faults.ts'
import { testFaults } from './matrix.ts'
import { ClusterBroker } from './stage-broker.ts'

testFaults('G1 G2 G4 G9: nothing is lost whatever happens to the leader of a cluster', clusterFaults, () =>
  ClusterBroker.start(),
)
if (partitionTooLong !== undefined) {
  test('G1 G2 G4 G9: nothing is lost when the leader of a cluster is paused or cut off', {
    skip: partitionTooLong,
  })
}
