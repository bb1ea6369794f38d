import { clockFaults } from './catalogue/clock-faults.ts'
import { topologyFaults } from './catalogue/topology-faults.ts'
import { testFaults } from './matrix.ts'

testFaults(
  'G1 G9: nothing else is lost when streams, consumers and buckets are deleted or full',
  topologyFaults,
)
testFaults('G1 G2: nothing is lost when clocks are set', clockFaults)
