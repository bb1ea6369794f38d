/** Notes how long it took until it started. */
import { defineHandler } from 'millrace'
import { JobRecord } from '../../measure/records.ts'

const record = new JobRecord()

export default defineHandler<{ n: number; at: number }>({
  run({ n, at }) {
    record.started(n, at)
  },
})
