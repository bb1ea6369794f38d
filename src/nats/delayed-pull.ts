import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node'
import { type Names, type Priority, priorities } from '../core/names.ts'
import type { Delivery } from '../engine/broker-port.ts'
import { moverName } from './delayed-topology.ts'
import { readAckSubject, toDelivery } from './delivery.ts'
import { pullExpiresMs } from './puller.ts'
import { subscriber } from './subscriber.ts'

/** A pull that has said nothing this long after it should have expired is written off. */
const writeOffMs = 500
/** Pause after a pull that was refused, or while there is no stream. */
const refusedMs = 1_000

/** One pull at a time from the delayed stream; see `Puller` for why this is no iterator of the client. */
export class DelayedPull {
  readonly #nc: NatsConnection
  readonly #names: Names
  readonly #newInbox: () => string
  readonly #arrived: (delivery: Delivery) => void
  readonly #ended: () => void
  readonly #trouble: () => void
  #subscription: Subscription | undefined
  #inbox = ''
  #id = 0
  #left = 0
  #timer: NodeJS.Timeout | undefined
  #whenEnded: (() => void) | undefined

  constructor(parts: {
    nc: NatsConnection
    names: Names
    newInbox: () => string
    arrived: (delivery: Delivery) => void
    ended: () => void
    trouble: () => void
  }) {
    this.#nc = parts.nc
    this.#names = parts.names
    this.#newInbox = parts.newInbox
    this.#arrived = parts.arrived
    this.#ended = parts.ended
    this.#trouble = parts.trouble
  }

  open(): void {
    this.close()
    this.#inbox = this.#newInbox()
    this.#subscription = this.#nc.subscribe(`${this.#inbox}.*`, {
      callback: subscriber((error, message) => {
        if (error) this.#trouble()
        else this.#receive(message)
      }),
    })
  }

  /** Forgets the pull, with whatever it might still bring. */
  close(): void {
    this.#finish()
    this.#subscription?.unsubscribe()
    this.#subscription = undefined
  }

  /** `isThere` is false while the stream is missing; then the pull just ends after a while. */
  pull(count: number, isThere: boolean): void {
    if (this.#left > 0 || !this.#subscription || this.#nc.isClosed()) return
    this.#left = count
    this.#id += 1
    if (!isThere) {
      this.#endIn(refusedMs)
      return
    }
    const subject = `$JS.API.CONSUMER.MSG.NEXT.${this.#names.delayedStream}.${moverName}`
    this.#nc.publish(subject, `{"batch":${count},"expires":${pullExpiresMs}000000}`, {
      reply: `${this.#inbox}.${this.#id}`,
    })
    this.#timer = setTimeout(() => {
      this.#trouble()
      this.#end()
    }, pullExpiresMs + writeOffMs)
  }

  whenEnded(): Promise<void> {
    if (this.#left === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#whenEnded = resolve
    })
  }

  #receive(message: Msg): void {
    const ack = message.reply ? readAckSubject(message.reply) : undefined
    if (!ack) {
      this.#status(message)
      return
    }
    this.#left = Math.max(0, this.#left - 1)
    const subject = message.subject.slice(this.#names.dueSubject('').length)
    const source = { ...this.#sourceOf(subject), stream: ack.stream, subject }
    this.#arrived(toDelivery(message, ack, source, message.subject))
    if (this.#left === 0) this.#end()
  }

  #sourceOf(subject: string): { handler: string; priority: Priority } {
    const priority =
      priorities.find((each) => subject.startsWith(this.#names.jobSubject('', each))) ?? 'normal'
    return { handler: subject.slice(this.#names.jobSubject('', priority).length), priority }
  }

  #status(message: Msg): void {
    const isThisPull = message.subject === `${this.#inbox}.${this.#id}`
    const code = message.headers?.code ?? 0
    // 100 is a sign of life; 404 and 408 end a pull in the normal way.
    if (!isThisPull || this.#left === 0 || code === 100) return
    if (code === 404 || code === 408) this.#end()
    else {
      this.#trouble()
      this.#endIn(refusedMs)
    }
  }

  #endIn(delayMs: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#end(), delayMs)
  }

  #end(): void {
    this.#finish()
    this.#ended()
  }

  #finish(): void {
    clearTimeout(this.#timer)
    this.#left = 0
    this.#whenEnded?.()
  }
}
