/** A job that never ends by itself. */
import { defineHandler } from 'millrace'
import { spin } from '../../measure/spin.ts'

export default defineHandler<{ n: number }>({
  deadlineMs: 250,
  graceMs: 50,
  // One thread stays free for the neighbours.
  concurrency: 1,
  retry: { maxAttempts: 1 },
  run: ({ n }) => spin(n),
})
