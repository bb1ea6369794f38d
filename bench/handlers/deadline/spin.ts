/**
 * Never returns, and leaves in a file when it started and when it was last alive, so that its end can
 * be measured from outside: a loop without an `await`, which no signal can interrupt.
 */
import { openSync, writeSync } from 'node:fs'
import path from 'node:path'
import { defineHandler } from 'millrace'
import { monotonicMs } from '../../measure/monotonic.ts'
import { recordsVariable } from '../../measure/records.ts'

const signMs = 0.1

export default defineHandler<{ n: number }>({
  deadlineMs: 250,
  graceMs: 50,
  // One thread stays free for the neighbours.
  concurrency: 1,
  retry: { maxAttempts: 1 },
  run({ n }) {
    const startedAt = monotonicMs()
    const signs = Float64Array.of(startedAt, startedAt)
    const file = openSync(path.join(process.env[recordsVariable]!, `spin-${n}`), 'w')
    for (;;) {
      const now = monotonicMs()
      if (now - signs[1]! < signMs) continue
      signs[1] = now
      writeSync(file, signs, 0, signs.byteLength, 0)
    }
  },
})
