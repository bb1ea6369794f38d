/** A job that never ends by itself, and is given ten times as long as its healthy neighbours take. */
import { defineHandler } from 'millrace'
import { spin } from '../../measure/spin.ts'

export default defineHandler<{ n: number }>({
  deadlineMs: 40,
  graceMs: 10,
  retry: { maxAttempts: 1 },
  run: ({ n }) => spin(n),
})
