import { threadId } from 'node:worker_threads'
import type { AbortCode, Job } from '../core/handler-definition.ts'
import type { AttemptError, Outcome } from '../core/outcome.ts'
import { AttemptContext } from './handler-context.ts'
import type { LoadedHandler } from './handler-import.ts'
import { fields, type JobExtras, type LaneTask } from './lane-protocol.ts'

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
  /** A rejection that nothing awaited, seen while the handler was still running. */
  floating: AttemptError | undefined
  durationMs = 0
  /** Set once the supervisor has been told; from then on nothing can change the outcome. */
  reported = false
  readonly #task: LaneTask
  readonly #numbers: Float64Array
  readonly #extras: JobExtras | undefined
  #startedAtMs: number | undefined

  constructor(
    task: LaneTask,
    handler: LoadedHandler,
    numbers: Float64Array,
    extras: JobExtras | undefined,
    startedMonotonicMs: number,
  ) {
    this.slot = numbers[fields.slot]!
    this.ticket = numbers[fields.ticket]!
    this.deadlineMs = numbers[fields.deadlineMs]!
    this.handler = handler
    this.startedMonotonicMs = startedMonotonicMs
    this.#task = task
    this.#numbers = numbers
    this.#extras = extras
  }

  get logLevel(): string {
    return this.#task.logLevel
  }

  /** Wall clock; good to the millisecond only when first read soon after the start, which is enough for a Date. */
  get startedAtMs(): number {
    this.#startedAtMs ??= Date.now()
    return this.#startedAtMs
  }

  get id(): string {
    return this.#extras?.id ?? `${this.#task.stream}:${this.#numbers[fields.sequence]}`
  }

  describe(): Job {
    const numbers = this.#numbers
    return {
      id: this.id,
      handler: this.handler.name,
      attempt: numbers[fields.attempt]!,
      maxAttempts: numbers[fields.maxAttempts]!,
      enqueuedAt: new Date(numbers[fields.enqueuedAt]!),
      headers: this.#extras?.headers ?? {},
      subject: `${this.#task.namespace}.${this.handler.name}`,
      sequence: numbers[fields.sequence]!,
      redelivered: numbers[fields.redelivered] === 1,
    }
  }

  logFields(): Record<string, unknown> {
    return {
      job_id: this.id,
      handler: this.handler.name,
      attempt: this.#numbers[fields.attempt],
      worker_id: `${this.#task.supervisorId}/${threadId}`,
    }
  }
}
