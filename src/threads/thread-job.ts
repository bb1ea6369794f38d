import { threadId } from 'node:worker_threads'
import type { AbortCode, Job } from '../core/handler-definition.ts'
import { type Names, namesFor, type Priority, priorities } from '../core/names.ts'
import { type AttemptError, type Outcome, underAbort } from '../core/outcome.ts'
import type { SpanPlace } from '../core/span-place.ts'
import { type AttemptFacts, isReplay, type RunningAttempt } from '../tracing/attempt-span.ts'
import { AttemptContext } from './handler-context.ts'
import type { LoadedHandler } from './handler-import.ts'
import { fields, type JobExtras, type LaneTask, type ProgressMessage } from './lane-protocol.ts'
import type { ClaimedJob } from './mailbox.ts'
import { monotonicMs } from './monotonic.ts'

/** A job's progress is passed on at most this often. */
const progressMs = 100
/** Made when the first job asks for its id or subject; a thread serves one namespace. */
let names: Names | undefined

/** One attempt inside its thread: the numbers it came with, what it was told, how it ended. */
export class ThreadJob {
  readonly slot: number
  readonly ticket: number
  readonly handler: LoadedHandler
  readonly deadlineMs: number
  /** On the thread's monotonic clock. */
  readonly startedMonotonicMs: number
  readonly context = new AttemptContext(this)
  abortCode: AbortCode | undefined
  outcome: Outcome | undefined
  span: RunningAttempt | undefined
  /** A rejection that nothing awaited, seen while the handler was still running. */
  floating: AttemptError | undefined
  durationMs = 0
  /** Set once the supervisor has been told; from then on nothing can change the outcome. */
  reported = false
  readonly #task: LaneTask
  readonly #numbers: Float64Array
  readonly #at: number
  readonly #extras: JobExtras | undefined
  #progressAt = Number.NEGATIVE_INFINITY

  constructor(task: LaneTask, handler: LoadedHandler, { numbers, at, extras, startedAt }: ClaimedJob) {
    this.slot = numbers[at + fields.slot]!
    this.ticket = numbers[at + fields.ticket]!
    this.deadlineMs = numbers[at + fields.deadlineMs]!
    this.handler = handler
    this.startedMonotonicMs = startedAt
    this.#task = task
    this.#numbers = numbers
    this.#at = at
    this.#extras = extras
  }

  get logLevel(): string {
    return this.#task.logLevel
  }

  /** When it started, by the wall clock. */
  get startedAtMs(): number {
    return Date.now() - (monotonicMs() - this.startedMonotonicMs)
  }

  get id(): string {
    return this.#extras?.id ?? `${this.#names.streamOf(this.#priority)}:${this.#field(fields.sequence)}`
  }

  /** Passes on what the handler says of its progress, not too often. */
  sayProgress(value: unknown): void {
    const json: string | undefined = JSON.stringify(value)
    if (json === undefined) throw new TypeError(`progress takes what JSON can hold, got a ${typeof value}`)
    const now = monotonicMs()
    if (now - this.#progressAt < progressMs) return
    this.#progressAt = now
    const message: ProgressMessage = {
      kind: 'progress',
      handler: this.handler.name,
      jobId: this.id,
      attempt: this.attempt,
      value: json,
    }
    this.#task.port.postMessage(message)
  }

  get attempt(): number {
    return this.#field(fields.attempt)
  }

  get #names(): Names {
    if (names?.namespace !== this.#task.namespace) names = namesFor(this.#task.namespace)
    return names
  }

  get #priority(): Priority {
    return priorities[this.#field(fields.level)]!
  }

  #field(field: number): number {
    return this.#numbers[this.#at + field]!
  }

  describe(): Job {
    return {
      id: this.id,
      handler: this.handler.name,
      attempt: this.attempt,
      maxAttempts: this.#field(fields.maxAttempts),
      enqueuedAt: new Date(this.#field(fields.enqueuedAt)),
      headers: this.#extras?.headers ?? {},
      subject: this.#names.jobSubject(this.handler.name, this.#priority),
      sequence: this.#field(fields.sequence),
      redelivered: this.#field(fields.redelivered) === 1,
    }
  }

  /** What a span says of it. */
  facts(): AttemptFacts {
    const { id, handler, attempt, subject, sequence, headers } = this.describe()
    const stream = this.#names.streamOf(this.#priority)
    return { jobId: id, handler, attempt, subject, stream, sequence, headers, worker: this.#worker }
  }

  /**
   * Ends its span by what the supervisor is told: before, a rejection that nobody awaited can still make it a failure.
   * Of an attempt that ended its thread the supervisor makes the span.
   */
  endSpan(reported: Outcome): void {
    if (!this.span || reported.kind === 'crashed') return
    const outcome = underAbort(reported, this.abortCode, this.deadlineMs)
    const error = 'error' in outcome ? outcome.error : undefined
    this.span.end({ outcome: outcome.kind, error }, this.durationMs)
  }

  /** Its span, if it is one of a replay. */
  get replaySpan(): SpanPlace | undefined {
    return this.span && isReplay(this.#extras?.headers ?? {}) ? this.span.place : undefined
  }

  get #worker(): string {
    return `${this.#task.supervisorId}/${threadId}`
  }

  logFields(): Record<string, unknown> {
    return {
      job_id: this.id,
      handler: this.handler.name,
      attempt: this.attempt,
      worker_id: this.#worker,
      ...this.span?.ids,
    }
  }
}
