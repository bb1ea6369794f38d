import { jobFaults } from './catalogue/job-faults.ts'
import { testFaults } from './matrix.ts'

testFaults('G1 G3 G5: nothing else is lost when jobs end or block what runs them', jobFaults)
