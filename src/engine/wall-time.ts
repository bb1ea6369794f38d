import type { Clock } from './clock-port.ts'

/**
 * What the wall clock showed at an instant of the monotonic one.
 *
 * Both clocks are read when an instant is later than the last reading; those of one batch of results need one reading.
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
