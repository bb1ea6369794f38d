import { supervisorFaults } from './catalogue/supervisor-faults.ts'
import { testFaults } from './matrix.ts'

testFaults('G1 G2 G4 G8 G9: nothing is lost when supervisors are killed, stopped or asleep', supervisorFaults)
