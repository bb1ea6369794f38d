import type { Clock } from './ports.ts'

/** Each delayed nak holds back the server's redelivery timer by 10 ms; this is long enough to let it fire. */
const quietMs = 25

/**
 * Lets things happen in bursts with quiet between them: the first at once, what comes within the quiet
 * together at its end. A steady trickle of delayed naks would starve every redelivery of the consumer.
 */
export class Bursts {
  readonly #clock: Clock
  #waiting: (() => void)[] = []
  #quietUntil = Number.NEGATIVE_INFINITY

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(action: () => void): void {
    this.#waiting.push(action)
    if (this.#waiting.length > 1) return
    const waitMs = this.#quietUntil - this.#clock.monotonicMs()
    if (waitMs <= 0) this.flush()
    else this.#clock.after(waitMs, () => this.flush())
  }

  flush(): void {
    const burst = this.#waiting
    if (burst.length === 0) return
    this.#waiting = []
    this.#quietUntil = this.#clock.monotonicMs() + quietMs
    for (const action of burst) action()
  }
}
