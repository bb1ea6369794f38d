import type { HeaderEntry } from '../core/dead-letter.ts'
import { consumerName } from '../core/names.ts'
import type { Clock } from '../engine/clock-port.ts'
import { MemoryBucket } from './memory-bucket.ts'
import { MemoryRecordStream } from './memory-record-stream.ts'

/** A job as one delivery of it brings it. */
export interface MemoryDelivery {
  readonly handler: string
  readonly sequence: number
  /** This one included. */
  readonly deliveries: number
  /** Epoch milliseconds. */
  readonly storedAt: number
  /** Where its settlement goes, in the form of the server's own ack subjects. */
  readonly reply: string
  readonly data: Uint8Array
  readonly headers: readonly HeaderEntry[] | undefined
}

interface StoredJob {
  readonly handler: string
  readonly sequence: number
  readonly storedAt: number
  readonly data: Uint8Array
  readonly headers: readonly HeaderEntry[] | undefined
  deliveries: number
  /** On the monotonic clock; undefined while nobody was ever given the job. */
  leaseUntil: number | undefined
  /** It waits to be handed out again. */
  queued: boolean
}

/**
 * JetStream as Millrace uses it, in memory and without time of its own: a WorkQueue stream of jobs with one durable
 * consumer for each handler, a stream of records that is deduplicated by message id, and a bucket.
 *
 * Each rule is one function of `test/contract/broker-rules.ts`, which holds for this and for a real server alike:
 *
 * 1. A job is handed out to whoever asks, the earliest first; what comes again goes before what is new.
 * 2. Each time the delivery count rises by one. A delivery is a lease of the ack wait.
 * 3. An ack deletes the job, whoever sends it and however late.
 * 4. A nak hands the job out again at once, one with a delay when that has passed.
 * 5. `+WPI` renews the lease, from now on. Once it has run out, that does not keep the job from coming again.
 * 6. A lease that ran out hands the job out again.
 * 7. The broker asks nobody whether a lease was still theirs: the nak of a holder whose lease has run out
 *    starts one more delivery, while somebody else has the job.
 * 8. Whatever is said of a job that was acked changes nothing.
 * 9. A broker that is killed keeps jobs, records and bucket, and may forget how often it delivered what, and to whom.
 */
export class MemoryBroker {
  readonly dead: MemoryRecordStream
  readonly attempts = new MemoryBucket()
  readonly #clock: Clock
  readonly #stream: string
  readonly #ackWaitMs: number
  readonly #jobs = new Map<number, StoredJob>()
  /** What waits to be handed out again, in this order. */
  #again: StoredJob[] = []
  #lastSequence = 0
  #handedOut = 0

  constructor(clock: Clock, options: { stream?: string; ackWaitMs: number; duplicateWindowMs: number }) {
    this.#clock = clock
    this.#stream = options.stream ?? 'JOBS'
    this.#ackWaitMs = options.ackWaitMs
    this.dead = new MemoryRecordStream(clock, options.duplicateWindowMs)
  }

  /** How many jobs nobody has acked. */
  get jobs(): number {
    return this.#jobs.size
  }

  /** Stores a job and returns its place in the stream. */
  enqueue(handler: string, data: Uint8Array = new Uint8Array(), headers?: readonly HeaderEntry[]): number {
    this.#lastSequence += 1
    const sequence = this.#lastSequence
    this.#jobs.set(sequence, {
      handler,
      sequence,
      storedAt: this.#clock.now(),
      data,
      headers,
      deliveries: 0,
      leaseUntil: undefined,
      queued: false,
    })
    return sequence
  }

  /** The handlers of the jobs that nobody has acked, one entry each. */
  *handlers(): Generator<string> {
    for (const { handler } of this.#jobs.values()) yield handler
  }

  /** How many jobs of a handler were handed out and not acked, those that are to come again included. */
  outstanding(handler: string): number {
    let count = 0
    for (const job of this.#jobs.values()) if (job.handler === handler && job.deliveries > 0) count += 1
    return count
  }

  has(sequence: number): boolean {
    return this.#jobs.has(sequence)
  }

  /** On the monotonic clock; until when a job is handed out to somebody. Undefined when it never was. */
  leaseUntil(sequence: number): number | undefined {
    return this.#jobs.get(sequence)?.leaseUntil
  }

  /** Whether a pull of one job would be answered at once. */
  hasNext(handler: string): boolean {
    return this.#next(handler) !== undefined
  }

  /** Answers a pull of one job; undefined when none is there. */
  next(handler: string): MemoryDelivery | undefined {
    const job = this.#next(handler)
    if (!job) return undefined
    this.#unqueue(job)
    job.deliveries += 1
    job.leaseUntil = this.#clock.monotonicMs() + this.#ackWaitMs
    this.#handedOut += 1
    const { sequence, deliveries, storedAt, data, headers } = job
    const reply = `$JS.ACK.${this.#stream}.${consumerName(handler)}.${deliveries}.${sequence}.${this.#handedOut}.${storedAt}000000.0`
    return { handler, sequence, deliveries, storedAt, reply, data, headers }
  }

  /**
   * When the next lease or delay ends, if nobody says anything; later than now. What is due waits for whoever asks,
   * and not for the clock.
   */
  get nextReturnAt(): number {
    this.#expire()
    let at = Number.POSITIVE_INFINITY
    for (const { leaseUntil, queued } of this.#jobs.values()) {
      if (!queued && leaseUntil !== undefined) at = Math.min(at, leaseUntil)
    }
    return at
  }

  /** When the next job can be handed out again, if nobody says anything; on the monotonic clock. */
  get nextAt(): number {
    let at = Number.POSITIVE_INFINITY
    for (const { leaseUntil, queued } of this.#jobs.values()) {
      if (queued || leaseUntil === undefined) return Number.NEGATIVE_INFINITY
      at = Math.min(at, leaseUntil)
    }
    return at
  }

  /** Takes what somebody sends to the reply subject of a delivery: `+ACK`, `-NAK`, `-NAK {"delay":<ns>}` or `+WPI`. */
  settle(reply: string, answer: string): void {
    this.#expire()
    const job = this.#jobs.get(Number(reply.split('.')[5]))
    if (!job) return
    if (answer.startsWith('+ACK')) {
      this.#jobs.delete(job.sequence)
      this.#unqueue(job)
    } else if (answer.startsWith('+WPI')) job.leaseUntil = this.#clock.monotonicMs() + this.#ackWaitMs
    else if (answer === '-NAK') this.#queue(job)
    else {
      const { delay } = JSON.parse(answer.slice('-NAK'.length)) as { delay: number }
      job.leaseUntil = this.#clock.monotonicMs() + delay / 1e6
    }
  }

  /** Dies and comes back; jobs that were handed out are to be had at once, as if they never had been. */
  kill(): void {
    this.#again = []
    for (const job of this.#jobs.values()) {
      job.deliveries = 0
      job.leaseUntil = undefined
      job.queued = false
    }
  }

  #next(handler: string): StoredJob | undefined {
    this.#expire()
    const again = this.#again.find((job) => job.handler === handler)
    if (again) return again
    for (const job of this.#jobs.values()) {
      if (job.leaseUntil === undefined && job.handler === handler) return job
    }
    return undefined
  }

  #expire(): void {
    const now = this.#clock.monotonicMs()
    for (const job of this.#jobs.values()) {
      if (job.leaseUntil !== undefined && job.leaseUntil <= now) this.#queue(job)
    }
  }

  #queue(job: StoredJob): void {
    if (job.queued) return
    job.queued = true
    this.#again.push(job)
  }

  #unqueue(job: StoredJob): void {
    if (!job.queued) return
    job.queued = false
    this.#again = this.#again.filter((other) => other !== job)
  }
}
