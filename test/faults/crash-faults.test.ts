import { crashFaults } from './catalogue/supervisor-faults.ts'
import { testFaults } from './matrix.ts'

testFaults('G1 G2 G4 G9: nothing is lost wherever a supervisor dies', crashFaults)
