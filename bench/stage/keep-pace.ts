import { monotonicMs } from '../measure/monotonic.ts'

/**
 * Calls `send` for each job, numbered from `first`, at its instant, and at once for those that are late. Each job
 * carries the instant at which it should have been sent, so that a publisher that is late makes latencies longer
 * instead of hiding them.
 */
export async function keepPace(
  perSecond: number,
  jobs: number,
  send: (payload: { n: number; at: number }) => void,
  first = 0,
): Promise<void> {
  const intervalMs = 1_000 / perSecond
  const beginAt = monotonicMs() + 50
  const cell = new Int32Array(new SharedArrayBuffer(4))
  for (let n = 0; n < jobs; ) {
    // Timers are late by up to a millisecond, this by less than a tenth of one.
    const restMs = beginAt + n * intervalMs - monotonicMs()
    if (restMs > 0) Atomics.wait(cell, 0, 0, restMs)
    for (const now = monotonicMs(); n < jobs && beginAt + n * intervalMs <= now; n += 1) {
      send({ n: first + n, at: beginAt + n * intervalMs })
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
}
