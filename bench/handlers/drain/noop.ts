/** Does nothing but to note that it ran. */
import { defineHandler } from 'millrace'
import { RunRecord } from '../../measure/run-records.ts'

const record = new RunRecord()

export default defineHandler<{ n: number }>({
  run({ n }) {
    record.ran(n)
  },
})
