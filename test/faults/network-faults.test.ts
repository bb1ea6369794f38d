import { networkFaults } from './catalogue/network-faults.ts'
import { testFaults } from './matrix.ts'

testFaults('G1 G2 G4 G9: nothing is lost on a bad network', networkFaults)
