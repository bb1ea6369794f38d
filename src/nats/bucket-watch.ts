import { AckPolicy, DeliverPolicy, type JetStreamManager, ReplayPolicy } from '@nats-io/jetstream'
import { createInbox, type Msg, type NatsConnection, nanos, type Subscription } from '@nats-io/transport-node'
import { readAckSubject } from './delivery.ts'
import { readHeaders } from './header-block.ts'
import { subscriber } from './subscriber.ts'

/** How often the server says that it has nothing to say. */
const heartbeatMs = 800
/** A watch that was told nothing for so long is begun anew. */
const silentMs = 1_900
/**
 * And every watch this often, or up to a fifth sooner or later, so that a fleet does not do so at once: entries that were
 * purged without a marker are missed only by a new listing.
 */
const renewMs = 30_000
/** A listing that stays short is begun again so often; then it is taken for whole. */
const shortListings = 2
/** Pause before a watch that could not begin is tried again. */
const againMs = 500
/** The server forgets a watch that nobody listens to any more after this. */
const forgottenMs = 30_000
/** No more markers than this are dropped after one listing. */
const markersAtOnce = 100

export interface WatchedBucket {
  readonly nc: NatsConnection
  readonly jsm: JetStreamManager
  readonly inboxPrefix: string
  readonly bucket: string
  /** @default 30_000 */
  readonly renewMs?: number
  /** A watch cannot begin: the bucket may be gone. */
  trouble(error: unknown): void
}

export interface WatchListener {
  /** `storedAt` is the server's clock, epoch milliseconds. */
  changed(key: string, value: string | undefined, storedAt: number): void
  /** Everything that was there when a listing began has been told. */
  listed(): void
}

/** A consumer of ours at the server, from the request that makes it until it is taken away. */
interface Turn {
  readonly name: string
  /** On the monotonic clock. */
  readonly renewAt: number
  readonly subscription: Subscription
  /** Messages so far. */
  received: number
  /** Entries in the listing; unknown until the server has answered. */
  expected: number | undefined
  listed: boolean
  /** It is to be replaced by a new one as soon as the markers are dropped. */
  renewing: boolean
  /** Begins the watch anew, unless something is heard before. */
  silence: NodeJS.Timeout | undefined
  readonly seen: Set<string>
  /** The markers of removed entries that were listed, by key, with their revision. */
  readonly markers: Map<string, number>
}

/**
 * Tells what happens to some entries of a bucket.
 *
 * 1. A push consumer of our own lists the last revision of each entry, then brings every change. The
 *    library's watch is not used, because it leaves its consumer behind when it is stopped, and does not say
 *    when the listing is complete.
 * 2. It is begun anew after a reconnect, when the server falls silent, when a message was lost, and about every
 *    30 s. What was told once is not told again, and what a new listing lacks is told as removed.
 * 3. The markers that removed entries leave behind are dropped half a minute later.
 */
export class BucketWatch {
  readonly #bucket: WatchedBucket
  readonly #prefix: string
  readonly #filter: string
  readonly #listener: WatchListener
  readonly #renewMs: number
  /** What was told of every entry that is there. */
  readonly #known = new Map<string, { revision: number; value: string }>()
  #turn: Turn | undefined
  #timer: NodeJS.Timeout | undefined
  #ended = false
  /** Listings in a row that stayed short. */
  #short = 0

  constructor(bucket: WatchedBucket, keys: string, listener: WatchListener) {
    this.#bucket = bucket
    this.#prefix = `$KV.${bucket.bucket}.`
    this.#filter = this.#prefix + keys
    this.#listener = listener
    this.#renewMs = bucket.renewMs ?? renewMs
    this.begin()
  }

  /** Lists everything again, whatever became of the listing before. */
  begin(): void {
    this.#leave()
    if (this.#ended || this.#bucket.nc.isClosed()) return
    const inbox = createInbox(this.#bucket.inboxPrefix)
    const subscription = this.#bucket.nc.subscribe(inbox, {
      callback: subscriber((error, message) => {
        if (error) this.#again()
        else if (turn === this.#turn) {
          this.#receive(turn, message)
          this.#heard(turn)
        }
      }),
    })
    const turn: Turn = {
      name: `millrace_${inbox.slice(inbox.lastIndexOf('.') + 1)}`,
      renewAt: performance.now() + this.#renewMs * (0.8 + 0.4 * Math.random()),
      subscription,
      received: 0,
      expected: undefined,
      listed: false,
      renewing: false,
      silence: undefined,
      seen: new Set(),
      markers: new Map(),
    }
    this.#turn = turn
    this.#setTimer(silentMs, () => this.begin())
    turn.silence = this.#timer
    this.#create(turn, inbox).catch((error: unknown) => {
      if (turn !== this.#turn) return
      this.#bucket.trouble(error)
      this.#again()
    })
  }

  /** Tells nothing more, and takes its consumer away. */
  end(): void {
    this.#ended = true
    this.#leave()
    clearTimeout(this.#timer)
  }

  #leave(): void {
    const turn = this.#turn
    if (!turn) return
    this.#turn = undefined
    turn.subscription.unsubscribe()
    const { nc, jsm, bucket } = this.#bucket
    // The server forgets it anyway, only later.
    if (!nc.isClosed()) jsm.consumers.delete(`KV_${bucket}`, turn.name).catch(() => {})
  }

  async #create(turn: Turn, inbox: string): Promise<void> {
    const { num_pending: expected } = await this.#bucket.jsm.consumers.add(`KV_${this.#bucket.bucket}`, {
      name: turn.name,
      deliver_subject: inbox,
      deliver_policy: DeliverPolicy.LastPerSubject,
      filter_subject: this.#filter,
      ack_policy: AckPolicy.None,
      replay_policy: ReplayPolicy.Instant,
      max_deliver: 1,
      idle_heartbeat: nanos(heartbeatMs),
      inactive_threshold: nanos(forgottenMs),
      num_replicas: 1,
      mem_storage: true,
    })
    turn.expected = expected
    this.#look(turn)
  }

  #receive(turn: Turn, message: Msg): void {
    const ack = message.reply ? readAckSubject(message.reply) : undefined
    if (!ack) {
      this.#status(turn, message)
      return
    }
    turn.received += 1
    if (ack.delivered > turn.received) {
      this.begin()
      return
    }
    this.#tell(turn, message, ack.sequence, ack.storedAt)
    this.#look(turn)
  }

  /** A heartbeat comes when everything was sent, and says how much that was. */
  #status(turn: Turn, message: Msg): void {
    if (message.headers?.code !== 100) {
      this.#again()
      return
    }
    const sent = Number(message.headers.get('Nats-Last-Consumer'))
    if (sent > turn.received) this.begin()
    else if (turn.expected !== undefined && !turn.listed) {
      // A server such as 2.9.10 passes over entries while others are purged. What is missing is not to count as removed.
      this.#short += 1
      if (this.#short > shortListings) this.#finishListing(turn)
      else this.begin()
    }
  }

  #tell(turn: Turn, message: Msg, revision: number, storedAt: number): void {
    const key = message.subject.slice(this.#prefix.length)
    const { headers } = readHeaders(message, message.subject)
    if (headers?.some(([name]) => name === 'KV-Operation' || name === 'Nats-Marker-Reason')) {
      if (!turn.listed) {
        turn.markers.set(key, revision)
        turn.seen.delete(key)
      }
      if (this.#known.delete(key)) this.#listener.changed(key, undefined, storedAt)
      return
    }
    if (!turn.listed) {
      turn.seen.add(key)
      turn.markers.delete(key)
    }
    const value = message.string()
    const known = this.#known.get(key)
    // A bucket that was made anew counts its revisions from 1 again.
    if (known?.revision === revision && known.value === value) return
    this.#known.set(key, { revision, value })
    this.#listener.changed(key, value, storedAt)
  }

  #look(turn: Turn): void {
    // Entries, not messages: a server such as 2.9.10 may bring one of them twice.
    const listed = turn.seen.size + turn.markers.size
    if (turn === this.#turn && turn.expected !== undefined && listed >= turn.expected) {
      this.#finishListing(turn)
    }
  }

  #finishListing(turn: Turn): void {
    if (turn.listed) return
    turn.listed = true
    this.#short = 0
    for (const key of [...this.#known.keys()]) {
      if (turn.seen.has(key)) continue
      this.#known.delete(key)
      this.#listener.changed(key, undefined, Date.now())
    }
    this.#listener.listed()
  }

  /** One timer does both: it looks after the watch, or tries again what failed. */
  #again(): void {
    this.#setTimer(againMs, () => this.begin())
  }

  /** Pushes the timer back, which wakes nobody; an idle process would else wake up for each watch every second. */
  #heard(turn: Turn): void {
    if (turn !== this.#turn || this.#timer !== turn.silence) return
    turn.silence?.refresh()
    if (turn.renewing || performance.now() < turn.renewAt) return
    turn.renewing = true
    // First, because the new listing brings what a server such as 2.9.10 passes over while it purges.
    void this.#dropMarkers(turn).then(() => {
      if (turn === this.#turn) this.begin()
    })
  }

  #setTimer(delayMs: number, callback: () => void): void {
    clearTimeout(this.#timer)
    if (this.#ended) return
    this.#timer = setTimeout(callback, delayMs)
    this.#timer.unref()
  }

  /** By now every other watch has seen them, or will list without them. */
  async #dropMarkers(turn: Turn): Promise<void> {
    const { jsm, bucket } = this.#bucket
    for (const [key, revision] of [...turn.markers].slice(0, markersAtOnce)) {
      // Only up to the marker: what was written since stays.
      const purged = { filter: this.#prefix + key, seq: revision + 1 }
      try {
        await jsm.streams.purge(`KV_${bucket}`, purged)
      } catch {
        return
      }
    }
  }
}
