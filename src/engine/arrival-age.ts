import type { Broker } from './broker-port.ts'
import type { Clock } from './clock-port.ts'

/**
 * Tells since when what arrives now may have been on its way.
 *
 * The lease of a delivery runs from when the broker sent it, and the delivery does not say when that was. Usually that
 * was just now. But a process that stood still (stopped, suspended with its machine, starved of its processor) reads
 * afterwards what came meanwhile, and a network that let nothing through hands over what it held, when somebody else
 * may have completed the job long ago.
 *
 * 1. A tick comes eight times in an ack wait. When one is late by more than another such time, we stood still since
 *    the tick before.
 * 2. When a pull gets no answer at all, the network may hold what it brings, since it was sent.
 *    Nothing that comes behind the answer to a round trip was sent before its question, though.
 * 3. From then on everything that arrives counts as sent at that instant, until a round trip to the broker ends: what
 *    it sends comes in order, so what comes behind the answer was sent after the question.
 */
export class ArrivalAge {
  readonly #broker: Broker
  readonly #clock: Clock
  readonly #tickMs: number
  readonly #over: () => void
  #tickedAt = Number.POSITIVE_INFINITY
  #doubtfulSince: number | undefined
  #answeredSince = Number.NEGATIVE_INFINITY
  #turn = 0
  #cancel: (() => void) | undefined

  /** @param over - what arrives is new again. */
  constructor(parts: { broker: Broker; clock: Clock; ackWaitMs: number }, over: () => void) {
    this.#broker = parts.broker
    this.#clock = parts.clock
    this.#tickMs = parts.ackWaitMs / 8
    this.#over = over
  }

  start(): void {
    this.#tickedAt = this.#clock.monotonicMs()
    this.#cancel = this.#clock.after(this.#tickMs, () => {
      this.#lookForStandstill(this.#clock.monotonicMs())
      this.start()
    })
  }

  stop(): void {
    this.#cancel?.()
    this.#tickedAt = Number.POSITIVE_INFINITY
  }

  /** On a new connection everything is new. */
  reconnected(): void {
    this.#turn += 1
    this.#isNew()
  }

  /** A round trip to the broker has ended that began at this instant, on the monotonic clock. */
  answered(askedAt: number): void {
    this.#answeredSince = Math.max(this.#answeredSince, askedAt)
  }

  /** A pull that was sent so long ago has brought nothing, not even its end. */
  silent(forMs: number): void {
    this.#doubt(this.#clock.monotonicMs() - forMs)
  }

  /** What arrives at `now` was not sent before this; both on the monotonic clock. */
  sentAfter(now: number): number {
    this.#lookForStandstill(now)
    return this.#doubtfulSince ?? now
  }

  #lookForStandstill(now: number): void {
    if (now - this.#tickedAt > 2 * this.#tickMs) this.#doubt(this.#tickedAt)
  }

  #doubt(since: number): void {
    // A doubt that is there already began earlier, and its answer comes behind what the network holds.
    if (this.#doubtfulSince !== undefined) return
    this.#doubtfulSince = Math.max(since, this.#answeredSince)
    this.#turn += 1
    void this.#catchUp(this.#turn)
  }

  async #catchUp(turn: number): Promise<void> {
    try {
      await this.#broker.barrier()
    } catch {
      // The connection is gone, and with it all that was on its way.
    }
    if (turn !== this.#turn) return
    this.#isNew()
    this.#over()
  }

  #isNew(): void {
    this.#doubtfulSince = undefined
    if (this.#tickedAt !== Number.POSITIVE_INFINITY) this.#tickedAt = this.#clock.monotonicMs()
  }
}
