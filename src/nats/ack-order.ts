import { readAckSubject } from './delivery.ts'
import type { ServerVersion } from './server-version.ts'

/** An ack waits for those before it for one to two of these. */
const turnMs = 10

interface WaitingAck {
  readonly reply: string
  readonly sequence: number
  /** The turn in which it came. */
  readonly turn: number
}

/**
 * Acks that wait a moment, so that they leave in the order of their stream.
 *
 * Threads end their jobs in turns, and a server of the line 2.10 that is told so becomes many times slower: it writes
 * a block of its file anew for each message that goes while an earlier one is there. Each turn of 10 ms sends what
 * came before the last one, and whatever of their streams comes before that.
 * Source: nats-server issue 5702, "slows down under load in a specific situation".
 */
export class AckOrder {
  readonly #send: (replies: string[]) => void
  #streams = new Map<string, WaitingAck[]>()
  #turn = 0
  #isTurning = false

  /** @param send - takes what is to be sent now, in order. */
  constructor(send: (replies: string[]) => void) {
    this.#send = send
  }

  add(reply: string): void {
    const { stream, sequence } = readAckSubject(reply) ?? { stream: '', sequence: 0 }
    const waiting = this.#streams.get(stream)
    const ack = { reply, sequence, turn: this.#turn }
    if (waiting) waiting.push(ack)
    else this.#streams.set(stream, [ack])
    this.#turnLater()
  }

  /** Sends everything. */
  flush(): void {
    for (const waiting of this.#streams.values()) this.#sendInOrder(waiting)
    this.#streams.clear()
  }

  /** Forgets everything. */
  drop(): void {
    this.#streams.clear()
  }

  #turnLater(): void {
    if (this.#isTurning) return
    this.#isTurning = true
    setTimeout(() => {
      this.#isTurning = false
      this.#endTurn()
      if (this.#streams.size > 0) this.#turnLater()
    }, turnMs)
  }

  #endTurn(): void {
    for (const [stream, waiting] of this.#streams) {
      let last = Number.NEGATIVE_INFINITY
      for (const { turn, sequence } of waiting) if (turn < this.#turn) last = Math.max(last, sequence)
      const due = waiting.filter(({ sequence }) => sequence <= last)
      this.#sendInOrder(due)
      if (due.length === waiting.length) this.#streams.delete(stream)
      else if (due.length > 0)
        this.#streams.set(
          stream,
          waiting.filter(({ sequence }) => sequence > last),
        )
    }
    this.#turn += 1
  }

  #sendInOrder(acks: WaitingAck[]): void {
    if (acks.length === 0) return
    acks.sort((a, b) => a.sequence - b.sequence)
    this.#send(acks.map(({ reply }) => reply))
  }
}

/** Whether a server is one of those that are slow with acks out of order: not 2.9.10, and not 2.15.1. */
export function needsAckOrder({ major, minor }: ServerVersion): boolean {
  return major === 2 && minor === 10
}
