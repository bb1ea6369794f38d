import type { NatsConnection, Subscription } from '@nats-io/transport-node'
import { readAckSubject } from './delivery.ts'
import { subscriber } from './subscriber.ts'

/** One write in so many is looked at; no multiple of 2 or 3, because acks may be written for each priority in turn. */
const writesBetween = 7
/** Each consumer is asked this often at most. */
const askMs = 50
/** A consumer that has not answered for so long is behind, */
const behindMs = 250
/** and one that has not answered for so long will not: another server may lead it by now. */
const writeOffMs = 2_000
/** How often questions without an answer are looked at. */
const sweepMs = 50

/** A question that is not answered yet. */
interface Probe {
  /** Of its consumer. */
  readonly key: string
  readonly token: number
  /** On the monotonic clock. */
  readonly sentAt: number
  isBehind: boolean
}

/**
 * Knows which consumers are behind with our acks.
 *
 * A server reads acks into a queue for each consumer, and works that off while it hands out jobs, sometimes slower
 * than it hands them out. Each ack that waits makes it slower and takes its memory; when it is killed they are lost,
 * and all these jobs come back. A round trip tells only that it has read them.
 *
 * 1. Now and then an ack names a subject for an answer, which comes when it and all before it have been worked off.
 * 2. A consumer whose answer takes longer than a quarter of a second is behind, and not pulled from until it comes.
 * 3. After two seconds nobody waits for an answer any more.
 *
 * Source: NATS documentation, "JetStream model deep dive", section "Exactly once semantics", on acks with a reply.
 */
export class AckProbes {
  readonly #nc: NatsConnection
  readonly #newInbox: () => string
  readonly #changed: () => void
  /** By stream and consumer. */
  readonly #open = new Map<string, Probe>()
  readonly #askedAt = new Map<string, number>()
  #writes = 0
  #behind = 0
  #lastToken = 0
  #inbox = ''
  #subscription: Subscription | undefined
  #sweeper: NodeJS.Timeout | undefined

  /** @param changed - told when a consumer is behind, or is so no more. */
  constructor(nc: NatsConnection, newInbox: () => string, changed: () => void) {
    this.#nc = nc
    this.#newInbox = newInbox
    this.#changed = changed
  }

  /** A new connection: what was asked on the old one is not answered. */
  open(): void {
    this.close()
    this.#inbox = this.#newInbox()
    this.#subscription = this.#nc.subscribe(`${this.#inbox}.*`, {
      callback: subscriber((error, message) => {
        if (!error) this.#answered(Number(message.subject.slice(this.#inbox.length + 1)))
      }),
    })
  }

  /** Asks nothing more, and nobody is behind. */
  close(): void {
    this.#subscription?.unsubscribe()
    this.#subscription = undefined
    clearTimeout(this.#sweeper)
    this.#sweeper = undefined
    this.#open.clear()
    this.#askedAt.clear()
    this.#behind = 0
  }

  /** Waits for no answer of a consumer that was made anew: its predecessor took the question along. */
  forsake(stream: string, consumer: string): void {
    const probe = this.#open.get(keyOf(stream, consumer))
    if (probe) this.#end(probe)
  }

  /** Where the server is to answer the last ack of a write; undefined when it need not. */
  answerTo(reply: string): string | undefined {
    this.#writes += 1
    if (this.#subscription === undefined || this.#writes % writesBetween !== 0) return undefined
    const now = performance.now()
    const ack = readAckSubject(reply)
    if (ack === undefined) return undefined
    const key = keyOf(ack.stream, ack.consumer)
    if (this.#open.has(key) || now - (this.#askedAt.get(key) ?? Number.NEGATIVE_INFINITY) < askMs) {
      return undefined
    }
    this.#lastToken += 1
    const token = this.#lastToken
    this.#open.set(key, { key, token, sentAt: now, isBehind: false })
    this.#askedAt.set(key, now)
    this.#sweepLater()
    return `${this.#inbox}.${token}`
  }

  /** Whether any consumer is; mostly none is, and nobody has to ask further. */
  get anyBehind(): boolean {
    return this.#behind > 0
  }

  isBehind(stream: string, consumer: string): boolean {
    return this.#open.get(keyOf(stream, consumer))?.isBehind === true
  }

  #answered(token: number): void {
    for (const probe of this.#open.values()) if (probe.token === token) this.#end(probe)
  }

  #end({ key, isBehind }: Probe): void {
    this.#open.delete(key)
    if (!isBehind) return
    this.#behind -= 1
    this.#changed()
  }

  #sweepLater(): void {
    this.#sweeper ??= setTimeout(() => this.#sweep(), sweepMs)
  }

  #sweep(): void {
    this.#sweeper = undefined
    const now = performance.now()
    for (const probe of this.#open.values()) {
      const waitedMs = now - probe.sentAt
      if (waitedMs >= writeOffMs) {
        this.#end(probe)
      } else if (waitedMs >= behindMs && !probe.isBehind) {
        probe.isBehind = true
        this.#behind += 1
        this.#changed()
      }
    }
    if (this.#open.size > 0) this.#sweepLater()
  }
}

function keyOf(stream: string, consumer: string): string {
  return `${stream}/${consumer}`
}
