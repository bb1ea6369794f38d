import type { Clock } from '../engine/clock-port.ts'
import { monotonicMs } from '../threads/monotonic.ts'

/** Node fires a timer of 2^31 ms or more at once; longer waits are made of several. */
const longestTimerMs = 2 ** 31 - 1

/** The machine's own time. */
export const systemClock: Clock = {
  now: Date.now,
  monotonicMs,
  after(delayMs, callback) {
    let timer: NodeJS.Timeout
    const arm = (restMs: number): void => {
      const stepMs = Math.min(restMs, longestTimerMs)
      timer = setTimeout(() => (restMs > stepMs ? arm(restMs - stepMs) : callback()), stepMs)
    }
    arm(delayMs)
    return () => clearTimeout(timer)
  },
}
