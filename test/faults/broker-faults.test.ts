import { accessFaults } from './catalogue/access-faults.ts'
import { brokerFaults } from './catalogue/broker-faults.ts'
import { testFaults } from './matrix.ts'

testFaults('G1 G2 G4 G9: nothing is lost whatever happens to the broker', brokerFaults)
testFaults('G1 G4 G9: nothing is lost when the broker refuses', accessFaults)
