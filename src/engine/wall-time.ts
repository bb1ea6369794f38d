import type { Clock } from './clock-port.ts'

/**
 * Translates instants of the monotonic clock to wall time.
 *
 * Both clocks are read when an instant is later than the last reading, so one reading serves a batch of results. A step of
 * the wall clock since then does not move what lies before.
 */
export class WallTime {
  readonly #clock: Clock
  #readAt = Number.NEGATIVE_INFINITY
  #differenceMs = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Epoch milliseconds at `instant`, which is past. */
  at(instant: number): number {
    if (instant > this.#readAt) {
      this.#readAt = this.#clock.monotonicMs()
      this.#differenceMs = this.#clock.now() - this.#readAt
    }
    return this.#differenceMs + instant
  }
}
