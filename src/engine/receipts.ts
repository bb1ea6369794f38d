import { AckJournal } from './ack-journal.ts'
import type { Broker } from './broker-port.ts'
import type { Clock } from './clock-port.ts'
import type { Observer } from './observer-port.ts'

/** How long settlements gather before one round trip asks whether the server has them all. */
const barrierMs = 50

/** How long before a connection was lost a proof may have been worth nothing. */
const doubtMs = 500

/** A barrier that was answered. */
interface Proof {
  readonly at: number
  /** The server has every ack with a smaller number. */
  readonly before: number
}

interface Nak {
  readonly stream: string
  readonly reply: string
  readonly delayMs: number
  readonly sentAt: number
  /** On the monotonic clock; from then on somebody else may have the job. */
  readonly leaseUntil: number
}

/**
 * Settlements that the server may not have yet.
 *
 * 1. Each ack and nak that is sent is noted here.
 * 2. Every 50 ms while there are any, one barrier (a round trip behind them on the same connection)
 *    proves that the server has them all; that costs nothing per job.
 * 3. After a reconnect, what was not proven is sent again: every ack, because an ack is right at any
 *    time, and a nak only while its own delay cannot have passed and its lease was surely ours,
 *    because a second nak after that would take the job from whoever has it now.
 * 4. So are the acks of the last half second that were proven: a server that stops answers for a moment after it has
 *    stopped to note them (seen with 2.9.10).
 */
export class Receipts {
  readonly #broker: Broker
  readonly #clock: Clock
  readonly #observer: Observer
  readonly #answered: (askedAt: number) => void
  #acks = new AckJournal()
  /** Acks with smaller numbers are proven, and those before `#sureBefore` for so long that there is no doubt. */
  #provenBefore = 0
  #sureBefore = 0
  /** Those whose worth is in doubt yet. */
  #proofs: Proof[] = []
  #naks: Nak[] = []
  /** Rises when a stream is forgotten: a barrier under way then proves nothing of what came later. */
  #generation = 0
  #asking = false
  #confirming: Promise<boolean> = Promise.resolve(true)

  /** @param answered - told of each barrier that was answered, and when it was asked for, on the monotonic clock. */
  constructor(
    broker: Broker,
    clock: Clock,
    observer: Observer,
    answered: (askedAt: number) => void = () => {},
  ) {
    this.#answered = answered
    this.#broker = broker
    this.#clock = clock
    this.#observer = observer
  }

  get outstanding(): number {
    return this.#acks.end - this.#provenBefore + this.#naks.length
  }

  ack(reply: string, handler: string, stream: string): void {
    this.#broker.ack(reply)
    this.#acks.add(reply, handler, stream)
    this.#askLater()
  }

  nak(reply: string, delayMs: number, leaseUntil: number, stream: string): void {
    this.#broker.nak(reply, delayMs)
    this.#naks.push({ stream, reply, delayMs, sentAt: this.#clock.monotonicMs(), leaseUntil })
    this.#askLater()
  }

  /** Sends again what a lost connection may have swallowed. */
  repeat(): void {
    this.#provenBefore = this.#sureBefore
    this.#proofs = []
    const perHandler = new Map<string, number>()
    for (const { reply, handler } of this.#acks.from(this.#sureBefore)) {
      this.#broker.ack(reply)
      perHandler.set(handler, (perHandler.get(handler) ?? 0) + 1)
    }
    for (const [handler, count] of perHandler) this.#observer.acksRepeated(handler, count)
    const now = this.#clock.monotonicMs()
    this.#naks = this.#naks.filter((nak) => now - nak.sentAt < nak.delayMs && now < nak.leaseUntil)
    for (const nak of this.#naks) this.#broker.nak(nak.reply, nak.delayMs - (now - nak.sentAt))
    if (this.outstanding > 0) this.#askLater()
  }

  /** Forgets what belongs to a stream that is gone. */
  forget(stream: string): void {
    const unproven = this.#acks.end - this.#provenBefore
    const acks = this.#acks.from(this.#sureBefore)
    const proven = acks.length - unproven
    this.#acks = new AckJournal()
    this.#sureBefore = 0
    this.#provenBefore = 0
    for (const [index, ack] of acks.entries()) {
      if (ack.stream === stream) continue
      this.#acks.add(ack.reply, ack.handler, ack.stream)
      if (index < proven) this.#provenBefore = this.#acks.end
    }
    const { at } = this.#proofs.at(-1) ?? { at: 0 }
    this.#proofs = this.#provenBefore > 0 ? [{ at, before: this.#provenBefore }] : []
    this.#naks = this.#naks.filter((nak) => nak.stream !== stream)
    this.#generation += 1
  }

  #askLater(): void {
    if (this.#asking) return
    this.#asking = true
    this.#clock.after(barrierMs, () => void this.confirm())
  }

  /** Asks the server now; true when it has everything that was sent before. */
  confirm(): Promise<boolean> {
    this.#confirming = this.#confirming.then(() => this.#confirmOnce())
    return this.#confirming
  }

  async #confirmOnce(): Promise<boolean> {
    const { epoch } = this.#broker
    const generation = this.#generation
    const acks = this.#acks.end
    const naks = this.#naks.length
    let confirmed = false
    try {
      if (this.#broker.connected) {
        const askedAt = this.#clock.monotonicMs()
        await this.#broker.barrier()
        confirmed = this.#broker.epoch === epoch
        if (confirmed) this.#answered(askedAt)
      }
    } catch {
      // The connection is gone; repeat() comes with the next one.
    }
    if (confirmed && this.#generation === generation) {
      this.#prove(acks)
      this.#naks = this.#naks.slice(naks)
    }
    this.#asking = false
    if (this.outstanding > 0 && this.#broker.connected) this.#askLater()
    return confirmed
  }

  /** The acks with smaller numbers are proven. */
  #prove(before: number): void {
    const at = this.#clock.monotonicMs()
    while (this.#proofs[0] && at - this.#proofs[0].at >= doubtMs) {
      this.#sureBefore = this.#proofs.shift()!.before
    }
    this.#acks.dropBefore(this.#sureBefore)
    if (before > this.#provenBefore) this.#proofs.push({ at, before })
    this.#provenBefore = before
  }
}
