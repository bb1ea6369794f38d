import type { Clock } from './clock-port.ts'

/** Pauses between tries, which a stop cuts short. */
export class Pauses {
  readonly #clock: Clock
  readonly #wakers = new Set<() => void>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Resolves after so long, or at the next `end`. */
  for(durationMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#wakers.delete(wake)
        cancel()
        resolve()
      }
      const cancel = this.#clock.after(durationMs, wake)
      this.#wakers.add(wake)
    })
  }

  /** Ends all that are under way. */
  end(): void {
    for (const wake of this.#wakers) wake()
  }
}
