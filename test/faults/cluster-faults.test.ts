import { test } from 'node:test'
import { clusterFaults, skippedClusterFaults } from './catalogue/cluster-faults.ts'
import { testFaults } from './matrix.ts'
import { ClusterBroker } from './stage-broker.ts'

testFaults('G1 G2 G4 G9: nothing is lost whatever happens to the leader of a cluster', clusterFaults, () =>
  ClusterBroker.start(),
)
for (const [what, why] of skippedClusterFaults) {
  test(`G1 G2 G4 G9: nothing is lost when the leader of a cluster is ${what}`, { skip: why })
}
