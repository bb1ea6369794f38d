import { openSync, writeSync } from 'node:fs'
import path from 'node:path'
import { monotonicMs } from './monotonic.ts'
import { recordsVariable } from './records.ts'

const signMs = 0.1

/**
 * Never returns, and leaves in a file when it started and when it was last alive, so that its end can
 * be measured from outside: a loop without an `await`, which no signal can interrupt.
 */
export function spin(n: number): never {
  const startedAt = monotonicMs()
  const signs = Float64Array.of(startedAt, startedAt)
  const file = openSync(path.join(process.env[recordsVariable]!, `spin-${n}`), 'w')
  for (;;) {
    const now = monotonicMs()
    if (now - signs[1]! < signMs) continue
    signs[1] = now
    writeSync(file, signs, 0, signs.byteLength, 0)
  }
}
