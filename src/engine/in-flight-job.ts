import { type AttemptRecord, noRecord } from '../core/attempt.ts'
import type { HeaderEntry } from '../core/dead-letter.ts'
import type { AbortCode } from '../core/handler-definition.ts'
import type { HistoryEntry } from '../core/history.ts'
import type { PlainHeaders } from '../core/job-headers.ts'
import type { ReturnedValue } from '../core/job-outcome.ts'
import type { DeadLetterPlace } from '../core/replay.ts'
import type { SpanPlace } from '../core/span-place.ts'
import type { Whereabouts } from '../core/whereabouts.ts'
import type { Delivery } from './broker-port.ts'
import type { Gate } from './gates.ts'
import type { HandlerState } from './handler-state.ts'
import type { JobSource } from './job-source.ts'
import type { Lane } from './lanes-port.ts'

/** A delivery that we hold, from its arrival until its settlement is sent. */
export class InFlightJob {
  readonly handler: HandlerState
  readonly source: JobSource
  readonly stream: string
  readonly subject: string
  readonly sequence: number
  readonly data: Uint8Array
  readonly headerEntries: readonly HeaderEntry[] | undefined
  readonly headerProblem: string | undefined
  readonly headersUnread: number
  readonly storedAt: number
  /** Changes when the broker delivers it to us again while we hold it. */
  reply: string
  deliveries: number
  /** From its headers, by lower-case name; undefined when it has none. */
  headers: PlainHeaders | undefined
  id: string | undefined
  /** Jobs of this handler with the same key run one at a time. */
  key: string | undefined
  json = true
  enqueuedAt: number
  /** Epoch milliseconds; infinite when it does not expire. */
  expiresAt = Number.POSITIVE_INFINITY
  /** Epoch milliseconds; 0 when it may start at once. */
  runAt = 0
  /** The dead letter that was published again as this job. */
  replayOf: DeadLetterPlace | undefined
  /** It has waited in the delayed stream and was found due there. */
  wasDelayed = false
  /** Attempts that counted before it was moved here, and what they said. */
  priorAttempts = 0
  priorHistory: readonly HistoryEntry[] = []
  /** 0 until it is admitted. */
  attempt = 0
  maxAttempts: number
  deadlineMs: number
  record: AttemptRecord = noRecord
  /** How many releases its stored record has, as far as we know; `record` may have more. */
  storedReleases = 0
  /** What is stored of earlier deliveries could not be read; `record` says only what came since. */
  recordUnread = false
  /** Every delivery of it came to this process, and no other writes its record. */
  isAllOurs = false
  /** An earlier delivery ended without a trace, or its thread died beside others. */
  suspect = false
  /** Deliveries before this one that ended without a trace. */
  unexplained = 0
  /** As a suspect it was begun beside others. */
  sharesPlace = false
  /** Its stored record says already that this delivery does not count. */
  isMarked = false

  /** On the monotonic clock; when the broker last delivered it to us. */
  arrivedAt: number
  /** On the monotonic clock; when the broker was last known to have renewed the lease. */
  renewedAt: number
  leaseLost = false
  /** How often it was delivered to us again while we held it; these deliveries do not count. */
  redeliveries = 0
  /** Its stream was deleted: what we say to the broker about it could hit a job of the next stream. */
  orphaned = false
  /** Settled for good: the broker will not hand it out again. */
  acked = false
  /** An attempt is over and on record, and the job keeps this delivery for the next: it has a key. */
  betweenAttempts = false
  /** It was admitted and waits there for its turn. */
  waitsAt: Gate | undefined
  /** On the monotonic clock; when it last began to wait at a gate. */
  parkedAt = 0
  /** Takes up room among the handler's jobs. */
  takesRoom = true
  /** Its entry in the attempts bucket must go when it is settled for good. */
  hasRecord = false
  /** How long it will run, as far as we can tell. */
  estimateMs = 0
  lane: Lane | undefined
  slot = -1
  ticket = 0
  /** Its thread does not end although it was told to. */
  isStuck = false
  abortCode: AbortCode | undefined
  /** On the monotonic clock; when its running attempt was told that somebody cancelled the job. */
  cancelledAt = 0
  /** Where its running attempt was found shortly before its thread is to be killed. */
  whereabouts: Whereabouts | 'asked' | undefined
  /** The thread of its last attempt has made a span of it. */
  spanMade = false
  /** That span, where the settlement cannot find it by the job's headers. */
  attemptSpan: SpanPlace | undefined
  /** The start of this attempt has been told. */
  startSaid = false
  /** What its handler returned, when that is kept. */
  returned: ReturnedValue | undefined
  /** Of the thread that runs, or last ran it; 0 when it never ran. */
  threadId = 0

  constructor(delivery: Delivery, handler: HandlerState, now: number) {
    this.handler = handler
    this.source = handler.sources[delivery.priority]
    this.stream = delivery.stream
    this.subject = delivery.subject
    this.sequence = delivery.sequence
    this.data = delivery.data
    this.headerEntries = delivery.headers
    this.headerProblem = delivery.headerProblem
    this.headersUnread = delivery.headersUnread
    this.storedAt = delivery.storedAt
    this.reply = delivery.reply
    this.deliveries = delivery.deliveries
    this.enqueuedAt = delivery.storedAt
    this.maxAttempts = handler.profile.retry.maxAttempts
    this.deadlineMs = handler.profile.deadlineMs
    this.arrivedAt = now
    this.renewedAt = now
  }

  /** The broker is known to have renewed its lease at that instant, on the monotonic clock. */
  renewed(at: number): void {
    this.renewedAt = at
    this.lane?.renewed(this)
  }

  /** Its thread does not end, and until it does its place among the jobs of its handler is taken. */
  getStuck(): void {
    this.isStuck = true
    this.handler.stuck += 1
  }

  /** It has left its thread. */
  comeOff(): void {
    if (!this.isStuck) return
    this.isStuck = false
    this.handler.stuck -= 1
  }

  /** It runs again, and nothing that its last run was told, or was found to do, applies any more. */
  forgetRun(): void {
    this.startSaid = false
    this.abortCode = undefined
    this.whereabouts = undefined
    this.spanMade = false
    this.attemptSpan = undefined
  }

  /** The job's id: from its headers, or its place in the stream. */
  get jobId(): string {
    return this.id ?? `${this.stream}:${this.sequence}`
  }
}
