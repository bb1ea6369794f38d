/**
 * `demo.spin` never returns, as a handler with a bug may: a loop without an `await`, which no signal
 * can interrupt. Its thread is killed at the deadline and replaced; after two attempts the job is a
 * dead letter with reason `deadline`.
 */
import { defineHandler } from 'millrace'

export default defineHandler({
  deadlineMs: 1_500,
  graceMs: 200,
  retry: { maxAttempts: 2, backoff: { baseMs: 500 } },
  run() {
    for (;;);
  },
})
