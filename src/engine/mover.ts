import { type DueJob, readDueJob } from '../core/delayed-job.ts'
import { MillraceError } from '../core/errors.ts'
import type { Broker, Delivery } from './broker-port.ts'
import { Bursts } from './bursts.ts'
import type { Clock } from './clock-port.ts'
import type { DelayedJobs, DelayedListener } from './delayed-jobs-port.ts'
import type { Observer } from './observer-port.ts'
import { Receipts } from './receipts.ts'

/** Asked for at once, and published at the same time. */
const batch = 500
/**
 * Between two bursts of naks. Longer than for retries: every supervisor has a mover, and all of them nak
 * the messages of one consumer.
 */
const quietMs = 100
/** After a job could not be published (its stream is full, mostly), before the next try. */
const refusedMs = 2_000
/** So many of one pull refused, and none taken: then it is not the job. */
const refusedLimit = 10
/** While there is no broker or no job stream, how often to look. */
const awayMs = 1_000
/** A message that is no job stays where it is, and is looked at so often. */
const strangerMs = 3_600_000

/**
 * Brings jobs back whose time has come. Every supervisor has one; they share one consumer.
 *
 * 1. A pull is kept open at the delayed stream.
 * 2. What is due is published as a job again, and when the server has said so, acked. Dying in between
 *    publishes it twice under one message id, and the job stream takes it once.
 * 3. What is not due yet is given back until then, in bursts. On servers that have schedules only what
 *    is due arrives, and this happens only when our clock is behind the server's.
 * 4. Of what somebody else put there no job may be made: it stays, is told of, and is looked at each hour.
 * 5. One that cannot be published is tried again later; when none can be, nothing is pulled meanwhile.
 */
export class Mover implements DelayedListener {
  readonly #delayed: DelayedJobs
  readonly #broker: Broker
  readonly #clock: Clock
  readonly #observer: Observer
  readonly #receipts: Receipts
  readonly #notDue: Bursts
  readonly #ackWaitMs: number
  #started = false
  #stopped = false
  #pulling = false
  #publishing = 0
  /** Refused since the last pull, or the last job that was taken. */
  #refused = 0
  /** On the monotonic clock; nothing is pulled until then. */
  #restsUntil = Number.NEGATIVE_INFINITY

  constructor(parts: {
    delayed: DelayedJobs
    broker: Broker
    clock: Clock
    observer: Observer
    ackWaitMs: number
  }) {
    const { delayed, broker, clock, observer } = parts
    this.#delayed = delayed
    this.#broker = broker
    this.#clock = clock
    this.#observer = observer
    this.#ackWaitMs = parts.ackWaitMs
    this.#receipts = new Receipts(broker, clock, observer)
    this.#notDue = new Bursts(clock, quietMs)
    delayed.listen(this)
  }

  start(): void {
    this.#started = true
    this.#pull()
  }

  /** Pulls nothing more. What still arrives is dealt with as before. */
  stop(): void {
    this.#started = false
    this.#stopped = true
    this.#notDue.flush()
  }

  disconnected(): void {
    this.#pulling = false
  }

  reconnected(): void {
    this.#receipts.repeat()
    this.#pull()
  }

  delayedArrived(delivery: Delivery): void {
    const due = readDueJob(delivery, delivery.headers ?? [])
    const leaseUntil = this.#clock.monotonicMs() + this.#ackWaitMs
    if (due.dueAt <= this.#clock.now()) {
      void this.#publish(delivery, due, leaseUntil)
      return
    }
    // Not the delivery itself is kept: a hundred thousand payloads would be.
    const { reply, stream } = delivery
    const { dueAt } = due
    const giveBack = (): void => {
      this.#receipts.nak(reply, Math.max(1, dueAt - this.#clock.now()), leaseUntil, stream)
    }
    // After a stop nobody waits for a burst, and what is not given back is late by up to a lease.
    if (this.#stopped) giveBack()
    else this.#notDue.add(giveBack)
  }

  delayedPullEnded(): void {
    this.#pulling = false
    this.#pull()
  }

  delayedReplaced(stream: string): void {
    this.#receipts.forget(stream)
  }

  async #publish(delivery: Delivery, due: DueJob, leaseUntil: number): Promise<void> {
    const published = this.#delayed.publish(delivery, due)
    if (typeof published === 'string') {
      this.#stranger(delivery, published, leaseUntil)
      return
    }
    this.#publishing += 1
    try {
      await published
      this.#refused = 0
      this.#receipts.ack(delivery.reply, delivery.handler, delivery.stream)
    } catch (error) {
      this.#observer.delayRefused(error)
      this.#refused += 1
      if (this.#refused >= refusedLimit) this.#restsUntil = this.#clock.monotonicMs() + refusedMs
      this.#receipts.nak(delivery.reply, refusedMs, leaseUntil, delivery.stream)
    }
    this.#publishing -= 1
    this.#pull()
  }

  #stranger(delivery: Delivery, why: string, leaseUntil: number): void {
    const message = `${delivery.stream}:${delivery.sequence} ${why}; remove it`
    this.#observer.delayRefused(new MillraceError('topology_conflict', message))
    this.#receipts.nak(delivery.reply, strangerMs, leaseUntil, delivery.stream)
  }

  #pull(): void {
    if (!this.#started || this.#pulling) return
    // The job stream may be missing: nobody tells us when it is there again.
    const restMs = this.#broker.connected ? this.#restsUntil - this.#clock.monotonicMs() : awayMs
    const count = batch - this.#publishing
    if (restMs <= 0 && count < batch / 2) return
    this.#pulling = true
    this.#refused = 0
    if (restMs <= 0) this.#delayed.pull(count)
    else this.#clock.after(restMs, () => this.delayedPullEnded())
  }
}
