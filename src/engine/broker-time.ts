/** A measurement counts for so long; clocks drift by less than a millisecond in that time. */
const freshMs = 30_000
/** The broker tells whole milliseconds. */
const roundingMs = 1

interface Measurement {
  readonly offsetMs: number
  readonly errorMs: number
  readonly takenAt: number
}

/**
 * The broker's clock, which all supervisors share, seen from here.
 *
 * The broker says when it stored what we wrote, which was between our sending it and its answer. Half of
 * that round trip is how far the estimate can be off; the best measurement of the last half minute is used.
 */
export class BrokerTime {
  #best: Measurement | undefined

  /** We sent something at `sentAt`, it was answered at `answeredAt` (monotonic), and `storedAt` is the broker's time of it. */
  learn(storedAt: number, sentAt: number, answeredAt: number): void {
    const errorMs = (answeredAt - sentAt) / 2 + roundingMs
    const offsetMs = storedAt - (sentAt + answeredAt) / 2
    const best = this.#best
    const isBetter =
      !best ||
      !this.isFresh(answeredAt) ||
      errorMs <= best.errorMs ||
      // They cannot both be right: one of the clocks was set.
      Math.abs(offsetMs - best.offsetMs) > errorMs + best.errorMs
    if (isBetter) this.#best = { offsetMs, errorMs, takenAt: answeredAt }
  }

  /** Whether there is a measurement that is not too old. */
  isFresh(monotonicMs: number): boolean {
    return this.#best !== undefined && monotonicMs - this.#best.takenAt < freshMs
  }

  /** The broker's epoch milliseconds at a monotonic instant. */
  at(monotonicMs: number): number {
    return monotonicMs + this.#best!.offsetMs
  }

  /** How far that can be off. */
  get errorMs(): number {
    return this.#best!.errorMs
  }
}
