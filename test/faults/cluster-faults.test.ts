import { clusterFaults } from './catalogue/cluster-faults.ts'
import { testFaults } from './matrix.ts'
import { ClusterBroker } from './stage-broker.ts'

testFaults('G1 G2 G9: nothing is lost whatever happens to the leader', clusterFaults, () =>
  ClusterBroker.start(),
)
