import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node'
import { consumerName, type Names, type Priority, priorities } from '../core/names.ts'
import type { BrokerListener } from '../engine/broker-port.ts'
import { type AckSubject, type DeliverySource, readAckSubject, toDelivery } from './delivery.ts'
import { replyOf } from './message-parser.ts'
import { subscriber } from './subscriber.ts'

/** How long a pull waits at the server. Short, because a stop lets the open pulls expire. */
export const pullExpiresMs = 1_000
/** A pull that has said nothing this long after it should have expired is written off. */
const writeOffMs = 500
/** Pause before a refused pull's credit is used again. */
const refusedMs = 200

interface OpenPull {
  readonly id: number
  readonly source: PulledSource
  left: number
  readonly deadAt: number
}

interface PulledSource extends DeliverySource {
  readonly consumer: string
  /** Where its pulls go. */
  readonly nextSubject: string
  /** Its open pulls, the oldest first: what arrives is charged to that one. */
  readonly pulls: OpenPull[]
}

/** Why a pull ended that should not have: time to look whether stream and consumers are still there. */
export type PullTrouble = 'no_responders' | 'consumer_gone' | 'silence' | 'refused'

/**
 * Asks for jobs over core NATS, with exact credit.
 *
 * The client library's own iterators hold several times their limit after reconnects and lose what they
 * have buffered when they stop; this asks for what there is room for, counts what comes, and stops by
 * letting the open pulls expire.
 *
 * 1. One subscription for each connection; a pull's status messages come back on `<inbox>.<id>`.
 * 2. Jobs keep their own subject; each is charged to the oldest open pull of its consumer.
 * 3. A pull that ends gives back the rest of its credit; one that falls silent is written off.
 * Source: NATS ADR-37, "JetStream simplification", section on pull requests.
 */
export class Puller {
  readonly #nc: NatsConnection
  readonly #listener: BrokerListener
  readonly #trouble: (trouble: PullTrouble) => void
  readonly #newInbox: () => string
  /** By stream and the name of their consumer. */
  readonly #sources = new Map<string, Map<string, PulledSource>>()
  /** Of the last job; usually the next one's, too. */
  #lastSource: PulledSource | undefined
  readonly #streamOf: (priority: Priority) => string
  readonly #open = new Map<number, OpenPull>()
  readonly #timers = new Set<NodeJS.Timeout>()
  #subscription: Subscription | undefined
  #inbox = ''
  #nextId = 1
  #sweeper: NodeJS.Timeout | undefined
  #whenNoneOpen: (() => void) | undefined

  constructor(parts: {
    nc: NatsConnection
    names: Names
    handlers: readonly string[]
    listener: BrokerListener
    newInbox: () => string
    trouble: (trouble: PullTrouble) => void
  }) {
    this.#nc = parts.nc
    this.#listener = parts.listener
    this.#newInbox = parts.newInbox
    this.#trouble = parts.trouble
    const { names, handlers } = parts
    this.#streamOf = names.streamOf
    for (const priority of priorities) {
      const stream = names.streamOf(priority)
      const sourceOf = (handler: string): PulledSource => ({
        handler,
        priority,
        stream,
        subject: names.jobSubject(handler, priority),
        consumer: consumerName(handler),
        nextSubject: `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumerName(handler)}`,
        pulls: [],
      })
      this.#sources.set(
        stream,
        new Map(handlers.map((handler) => [consumerName(handler), sourceOf(handler)])),
      )
    }
  }

  /** A new connection: nothing of the old one will be answered. */
  open(): void {
    this.close()
    this.#inbox = this.#newInbox()
    this.#subscription = this.#nc.subscribe(`${this.#inbox}.*`, {
      callback: subscriber((error, message) => {
        if (error) this.#trouble('refused')
        else this.#receive(message)
      }),
    })
  }

  /** Forgets every pull, with whatever they might still bring. */
  close(): void {
    this.#open.clear()
    for (const sources of this.#sources.values()) for (const { pulls } of sources.values()) pulls.length = 0
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
    clearTimeout(this.#sweeper)
    this.#sweeper = undefined
    this.#subscription?.unsubscribe()
    this.#subscription = undefined
    this.#whenNoneOpen?.()
  }

  pull(handler: string, priority: Priority, count: number): void {
    const source = this.#sources.get(this.#streamOf(priority))!.get(consumerName(handler))!
    const id = this.#nextId++
    const pull = { id, source, left: count, deadAt: performance.now() + pullExpiresMs + writeOffMs }
    this.#open.set(id, pull)
    source.pulls.push(pull)
    this.#nc.publish(source.nextSubject, `{"batch":${count},"expires":${pullExpiresMs}000000}`, {
      reply: `${this.#inbox}.${id}`,
    })
    this.#sweepLater()
  }

  /** Gives up the open pulls of a consumer that was made anew: its predecessor took them along. */
  forsake(handler: string, priority: Priority): void {
    const { pulls } = this.#sources.get(this.#streamOf(priority))!.get(consumerName(handler))!
    for (const pull of [...pulls]) {
      this.#end(pull)
      this.#returnCredit(pull)
    }
  }

  /** How many pulls of a handler and priority are open. */
  openPulls(handler: string, priority: Priority): number {
    return this.#sources.get(this.#streamOf(priority))!.get(consumerName(handler))!.pulls.length
  }

  /** Resolves when no pull is open any more. */
  ended(): Promise<void> {
    if (this.#open.size === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#whenNoneOpen = resolve
    })
  }

  #receive(message: Msg): void {
    const reply = replyOf(message)
    const ack = reply ? readAckSubject(reply) : undefined
    if (!ack) {
      this.#status(message)
      return
    }
    const source = this.#sourceOf(ack)
    if (source === undefined) return
    const [oldest] = source.pulls
    if (oldest) {
      oldest.left -= 1
      if (oldest.left === 0) this.#end(oldest)
    }
    this.#listener.delivered(toDelivery(message, ack, source))
  }

  #sourceOf({ stream, consumer }: AckSubject): PulledSource | undefined {
    const last = this.#lastSource
    if (last?.stream === stream && last.consumer === consumer) return last
    this.#lastSource = this.#sources.get(stream)?.get(consumer)
    return this.#lastSource
  }

  #status(message: Msg): void {
    const pull = this.#open.get(Number(message.subject.slice(this.#inbox.length + 1)))
    const code = message.headers?.code ?? 0
    // 100 is a sign of life; 404 and 408 end a pull in the normal way.
    if (!pull || code === 100) return
    this.#end(pull)
    if (code === 404 || code === 408) {
      this.#returnCredit(pull)
      return
    }
    const description = message.headers?.description ?? ''
    if (code === 503) this.#trouble('no_responders')
    else if (/deleted|no consumer|not found/i.test(description)) this.#trouble('consumer_gone')
    else this.#trouble('refused')
    this.#returnLater(pull)
  }

  #returnLater(pull: OpenPull): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      this.#returnCredit(pull)
    }, refusedMs)
    this.#timers.add(timer)
  }

  #returnCredit({ source, left }: OpenPull): void {
    this.#listener.creditReturned(source.handler, source.priority, left)
  }

  #end(pull: OpenPull): void {
    this.#open.delete(pull.id)
    const { pulls } = pull.source
    pulls.splice(pulls.indexOf(pull), 1)
    if (this.#open.size === 0) this.#whenNoneOpen?.()
  }

  /** One timer for all pulls: it fires when the oldest of them should long have been answered. */
  #sweepLater(): void {
    const [oldest] = this.#open.values()
    if (this.#sweeper || !oldest) return
    this.#sweeper = setTimeout(() => this.#sweep(), Math.max(0, oldest.deadAt - performance.now()))
  }

  #sweep(): void {
    this.#sweeper = undefined
    const now = performance.now()
    for (const pull of this.#open.values()) {
      if (pull.deadAt > now) break
      this.#end(pull)
      this.#listener.silent(now - pull.deadAt + pullExpiresMs + writeOffMs)
      this.#trouble('silence')
      this.#returnCredit(pull)
    }
    this.#sweepLater()
  }
}
