import type { Broker } from './broker-port.ts'
import type { Clock } from './clock-port.ts'

/**
 * Tells since when what arrives may have lain in our socket.
 *
 * A process that stood still (stopped, suspended with its machine, starved of its processor) reads afterwards what
 * the broker sent it meanwhile, as if it were new; but the lease of a delivery runs from when it was sent, and
 * somebody else may have completed it since.
 *
 * 1. A tick comes eight times in an ack wait. One that is late by more than another such time was held up.
 * 2. From then on, and from the first delivery that finds the tick late, everything that arrives counts as sent at
 *    the last tick before.
 * 3. A round trip to the broker ends that: what it sends comes in order, so what comes after the answer was sent
 *    after the question.
 */
export class Standstill {
  readonly #broker: Broker
  readonly #clock: Clock
  readonly #tickMs: number
  readonly #over: () => void
  #tickedAt = Number.POSITIVE_INFINITY
  #doubtfulSince: number | undefined
  #turn = 0
  #cancel: (() => void) | undefined

  /** @param over - it was noticed, and what arrives is new again. */
  constructor(parts: { broker: Broker; clock: Clock; ackWaitMs: number }, over: () => void) {
    this.#broker = parts.broker
    this.#clock = parts.clock
    this.#tickMs = parts.ackWaitMs / 8
    this.#over = over
  }

  start(): void {
    this.#tickedAt = this.#clock.monotonicMs()
    this.#cancel = this.#clock.after(this.#tickMs, () => {
      this.#look(this.#clock.monotonicMs())
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

  /** What arrives at `now` was not sent before this; both on the monotonic clock. */
  sentAfter(now: number): number {
    this.#look(now)
    return this.#doubtfulSince ?? now
  }

  #look(now: number): void {
    if (this.#doubtfulSince !== undefined || now - this.#tickedAt <= 2 * this.#tickMs) return
    this.#doubtfulSince = this.#tickedAt
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
