/** Fails at its first attempt, at once, and may be tried again at once. */
import { defineHandler } from 'millrace'
import { JobRecord } from '../../measure/records.ts'
import type { WorkPayload } from '../../measure/work.ts'

const record = new JobRecord('flaky')

export default defineHandler<WorkPayload>({
  retry: { maxAttempts: 3, backoff: { baseMs: 0, maxMs: 0 } },
  run({ n }, { job }) {
    record.ran(n)
    if (job.attempt === 1) throw new Error('the first attempt fails')
  },
})
