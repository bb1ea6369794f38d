import type { Settings } from '../config/settings.ts'
import type { AttemptError, AttemptOutcome } from '../core/outcome.ts'
import type { DeadReason } from '../core/verdict.ts'
import type { InFlightJob } from '../engine/in-flight-job.ts'
import type { Logger } from './logger.ts'

/** Above so many completed jobs a second, `auto` writes a summary instead of two lines for each job. */
const autoLimitPerSecond = 500

/** The log lines about jobs. Their messages and fields are the contract: see DESIGN and docs/operations.md. */
export class JobLog {
  readonly #logger: Logger
  readonly #mode: Settings['jobLogs']
  readonly #supervisorId: string
  readonly #summary = new Map<string, { completed: number; durationMs: number }>()
  /** Completed in the second that the timer measures. */
  #inWindow = 0
  #busy = false
  #timer: NodeJS.Timeout | undefined

  constructor(logger: Logger, mode: Settings['jobLogs'], supervisorId: string) {
    this.#logger = logger
    this.#mode = mode
    this.#supervisorId = supervisorId
  }

  started(job: InFlightJob): void {
    if (!this.#writesAll()) return
    this.#logger.info(this.#fields(job), 'job started')
  }

  ended(job: InFlightJob, outcome: AttemptOutcome, durationMs: number): void {
    if (outcome === 'completed') this.#completed(job, durationMs)
    else if (outcome === 'interrupted') {
      this.#logger.warn({ ...this.#fields(job), duration_ms: round(durationMs) }, 'job interrupted')
    } else if (outcome === 'snoozed') {
      this.#logger.info({ ...this.#fields(job), duration_ms: round(durationMs) }, 'job snoozed')
    }
  }

  retrying(job: InFlightJob, delayMs: number, error: AttemptError): void {
    this.#logger.warn(
      { ...this.#fields(job), max_attempts: job.maxAttempts, delay_ms: delayMs, err: error },
      'job retrying',
    )
  }

  deadLettered(job: InFlightJob, reason: DeadReason, error: AttemptError | undefined): void {
    const fields = { ...this.#fields(job), max_attempts: job.maxAttempts, reason, err: error }
    // Somebody wanted that.
    if (reason === 'cancelled') this.#logger.info(fields, 'job dead-lettered')
    else this.#logger.error(fields, 'job dead-lettered')
  }

  delayed(job: InFlightJob, dueAt: number): void {
    if (!this.#logger.isLevelEnabled('debug')) return
    this.#logger.debug({ ...this.#fields(job), due_at: new Date(dueAt).toISOString() }, 'job delayed')
  }

  warn(job: InFlightJob, fields: Record<string, unknown>, message: string): void {
    this.#logger.warn({ ...this.#fields(job), ...fields }, message)
  }

  /** Writes the summaries of what has completed since the last ones, and begins anew. */
  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#busy = false
    this.#inWindow = 0
    for (const [handler, { completed, durationMs }] of this.#summary) {
      this.#logger.info(
        { handler, completed, mean_duration_ms: round(durationMs / completed) },
        'jobs completed',
      )
    }
    this.#summary.clear()
  }

  #completed(job: InFlightJob, durationMs: number): void {
    if (this.#mode === 'errors') return
    if (this.#mode === 'auto') this.#count()
    if (this.#writesAll()) {
      this.#logger.info({ ...this.#fields(job), duration_ms: round(durationMs) }, 'job completed')
      return
    }
    const handler = job.handler.profile.name
    const summary = this.#summary.get(handler)
    if (summary) {
      summary.completed += 1
      summary.durationMs += durationMs
    } else this.#summary.set(handler, { completed: 1, durationMs })
  }

  /** Counts completions by the second; `auto` changes over above the limit, and back after a second that was not. */
  #count(): void {
    this.#inWindow += 1
    if (this.#inWindow > autoLimitPerSecond) this.#busy = true
    this.#timer ??= setTimeout(() => this.#secondIsOver(), 1_000)
  }

  #secondIsOver(): void {
    const isBusy = this.#inWindow > autoLimitPerSecond
    this.flush()
    if (!isBusy) return
    // A second without any completion ends the thinning, too.
    this.#busy = true
    this.#timer = setTimeout(() => this.#secondIsOver(), 1_000)
  }

  #writesAll(): boolean {
    return this.#mode === 'all' || (this.#mode === 'auto' && !this.#busy)
  }

  #fields(job: InFlightJob): Record<string, unknown> {
    return {
      job_id: job.jobId,
      handler: job.handler.profile.name,
      attempt: job.attempt,
      worker_id: `${this.#supervisorId}/${job.threadId}`,
    }
  }
}

function round(ms: number): number {
  return Math.round(ms * 1_000) / 1_000
}
