import type { Clock } from './clock-port.ts'

/** Each delayed nak holds back the server's redelivery timer by 10 ms; this is long enough to let it fire. */
const defaultQuietMs = 25

/**
 * Lets things happen in bursts with quiet between them: the first at once, what comes within the quiet
 * together at its end. A steady trickle of delayed naks would starve every redelivery of the consumer.
 */
export class Bursts {
  readonly #clock: Clock
  readonly #quietMs: number
  #waiting: (() => void)[] = []
  #quietUntil = Number.NEGATIVE_INFINITY

  constructor(clock: Clock, quietMs = defaultQuietMs) {
    this.#clock = clock
    this.#quietMs = quietMs
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
    this.#quietUntil = this.#clock.monotonicMs() + this.#quietMs
    for (const action of burst) action()
  }
}
