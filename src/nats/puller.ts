import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node'
import { consumerName, type Names } from '../core/names.ts'
import type { BrokerListener } from '../engine/ports.ts'
import { readAckSubject, toDelivery } from './delivery.ts'

/** How long a pull waits at the server. Short, because a stop lets the open pulls expire. */
export const pullExpiresMs = 1_000
/** A pull that has said nothing this long after it should have expired is written off. */
const writeOffMs = 500
/** Pause before a refused pull's credit is used again. */
const refusedMs = 200

interface OpenPull {
  readonly id: number
  readonly handler: string
  left: number
  readonly deadAt: number
}

interface PulledHandler {
  readonly name: string
  readonly subject: string
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
 * 2. Jobs keep their own subject; each is charged to the oldest open pull of its handler.
 * 3. A pull that ends gives back the rest of its credit; one that falls silent is written off.
 * Source: NATS ADR-37, "JetStream simplification", section on pull requests.
 */
export class Puller {
  readonly #nc: NatsConnection
  readonly #names: Names
  readonly #listener: BrokerListener
  readonly #trouble: (trouble: PullTrouble) => void
  readonly #newInbox: () => string
  /** By the name of their consumer. */
  readonly #handlers = new Map<string, PulledHandler>()
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
    this.#names = parts.names
    this.#listener = parts.listener
    this.#newInbox = parts.newInbox
    this.#trouble = parts.trouble
    for (const name of parts.handlers) {
      this.#handlers.set(consumerName(name), { name, subject: parts.names.jobSubject(name), pulls: [] })
    }
  }

  /** A new connection: nothing of the old one will be answered. */
  open(): void {
    this.close()
    this.#inbox = this.#newInbox()
    this.#subscription = this.#nc.subscribe(`${this.#inbox}.*`, {
      // The client stops reading its socket for good when a callback throws.
      callback: (error, message) => {
        try {
          if (error) this.#trouble('refused')
          else this.#receive(message)
        } catch (defect) {
          setImmediate(() => {
            throw defect
          })
        }
      },
    })
  }

  /** Forgets every pull, with whatever they might still bring. */
  close(): void {
    this.#open.clear()
    for (const handler of this.#handlers.values()) handler.pulls.length = 0
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
    clearTimeout(this.#sweeper)
    this.#sweeper = undefined
    this.#subscription?.unsubscribe()
    this.#subscription = undefined
    this.#whenNoneOpen?.()
  }

  pull(handler: string, count: number): void {
    const consumer = consumerName(handler)
    const id = this.#nextId++
    const pull = { id, handler, left: count, deadAt: performance.now() + pullExpiresMs + writeOffMs }
    this.#open.set(id, pull)
    this.#handlers.get(consumer)!.pulls.push(pull)
    const subject = `$JS.API.CONSUMER.MSG.NEXT.${this.#names.jobStream}.${consumer}`
    this.#nc.publish(subject, `{"batch":${count},"expires":${pullExpiresMs}000000}`, {
      reply: `${this.#inbox}.${id}`,
    })
    this.#sweepLater()
  }

  /** How many pulls of a handler are open. */
  openPulls(handler: string): number {
    return this.#handlers.get(consumerName(handler))!.pulls.length
  }

  /** Resolves when no pull is open any more. */
  ended(): Promise<void> {
    if (this.#open.size === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#whenNoneOpen = resolve
    })
  }

  #receive(message: Msg): void {
    const ack = message.reply ? readAckSubject(message.reply) : undefined
    if (!ack) {
      this.#status(message)
      return
    }
    const handler = this.#handlers.get(ack.consumer)
    if (handler === undefined) return
    const [oldest] = handler.pulls
    if (oldest) {
      oldest.left -= 1
      if (oldest.left === 0) this.#end(oldest)
    }
    this.#listener.delivered(toDelivery(message, ack, handler.name, handler.subject))
  }

  #status(message: Msg): void {
    const pull = this.#open.get(Number(message.subject.slice(this.#inbox.length + 1)))
    const code = message.headers?.code ?? 0
    // 100 is a sign of life; 404 and 408 end a pull in the normal way.
    if (!pull || code === 100) return
    this.#end(pull)
    if (code === 404 || code === 408) {
      this.#listener.creditReturned(pull.handler, pull.left)
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
      this.#listener.creditReturned(pull.handler, pull.left)
    }, refusedMs)
    this.#timers.add(timer)
  }

  #end(pull: OpenPull): void {
    this.#open.delete(pull.id)
    const { pulls } = this.#handlers.get(consumerName(pull.handler))!
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
      this.#trouble('silence')
      this.#listener.creditReturned(pull.handler, pull.left)
    }
    this.#sweepLater()
  }
}
