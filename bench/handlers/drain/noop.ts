/** Does nothing but to note that it ran. */
import { defineHandler } from 'millrace'
import { JobRecord } from '../../measure/records.ts'

const record = new JobRecord()

export default defineHandler<{ n: number }>({
  run({ n }) {
    record.ran(n)
  },
})
