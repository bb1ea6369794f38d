import type { PoolName } from '../core/handler-definition.ts'
import type { AttemptError, AttemptOutcome } from '../core/outcome.ts'
import type { DeadReason, Verdict } from '../core/verdict.ts'
import type { InFlightJob } from '../engine/in-flight-job.ts'
import type { Lane, ThreadEnd } from '../engine/lanes-port.ts'
import type { Observer } from '../engine/observer-port.ts'
import type { JobLog } from './job-log.ts'
import type { JobTracing } from './job-tracing.ts'
import type { Logger } from './logger.ts'
import type { Metrics } from './metrics.ts'

/** A complaint of the same kind is written at most this often. */
const complaintMs = 5_000

/** Turns what the engine tells into log lines and numbers. */
export class TelemetryObserver implements Observer {
  readonly #jobs: JobLog
  readonly #logger: Logger
  readonly #metrics: Metrics
  readonly #tracing: JobTracing | undefined
  #complainedAt = Number.NEGATIVE_INFINITY
  readonly #limitComplaints = new Map<string, number>()
  #delayComplainedAt = Number.NEGATIVE_INFINITY

  constructor(jobs: JobLog, logger: Logger, metrics: Metrics, tracing?: JobTracing) {
    this.#jobs = jobs
    this.#logger = logger
    this.#metrics = metrics
    this.#tracing = tracing
  }

  started(job: InFlightJob): void {
    this.#jobs.started(job)
  }

  ended(job: InFlightJob, outcome: AttemptOutcome, durationMs: number, waitMs: number): void {
    this.#metrics.ended(job.handler.profile.name, outcome, durationMs, waitMs)
    this.#jobs.ended(job, outcome, durationMs)
    this.#tracing?.ended(job, outcome, durationMs)
  }

  settled(job: InFlightJob, verdict: Verdict['kind']): void {
    this.#metrics.settled(job.handler.profile.name, verdict)
    this.#tracing?.settled(job, verdict)
  }

  retrying(job: InFlightJob, delayMs: number, error: AttemptError): void {
    this.#jobs.retrying(job, delayMs, error)
  }

  deadLettered(job: InFlightJob, reason: DeadReason, error: AttemptError | undefined): void {
    this.#metrics.deadLettered(job.handler.profile.name, reason)
    this.#jobs.deadLettered(job, reason, error)
  }

  deadLetterRefused(job: InFlightJob, error: unknown): void {
    this.#jobs.warn(job, { err: plainError(error) }, 'dead letter refused, trying again')
  }

  leaseLost(job: InFlightJob): void {
    this.#metrics.leaseLost(job.handler.profile.name)
    this.#jobs.warn(job, {}, 'lease lost')
  }

  heartbeatLate(lateMs: number): void {
    this.#logger.warn({ late_ms: Math.round(lateMs) }, 'held up, leases renewed late')
  }

  duplicateSuppressed(handler: string): void {
    this.#metrics.duplicateSuppressed(handler)
  }

  acksRepeated(handler: string, count: number): void {
    this.#metrics.acksRepeated(handler, count)
  }

  clamped(job: InFlightJob, header: string, asked: number, limit: number): void {
    this.#jobs.warn(job, { header, asked, limit }, 'header clamped')
  }

  threadKilled(lane: Lane, reason: ThreadEnd, job: InFlightJob | undefined): void {
    const fields = { pool: lane.pool, thread_id: lane.threadId, reason }
    const where = job?.whereabouts === 'asked' ? undefined : job?.whereabouts
    if (job) this.#jobs.warn(job, where ? { ...fields, where } : fields, 'thread killed')
    else this.#logger.warn(fields, 'thread killed')
  }

  handlerRests(handler: string, delayMs: number, crashes: number): void {
    this.#logger.error({ handler, delay_ms: delayMs, crashes_in_a_row: crashes }, 'handler slowed down')
  }

  poolThreadless(pool: PoolName, threadless: boolean): void {
    if (threadless) this.#logger.error({ pool }, 'no thread of the pool gets ready, its jobs go back')
    else this.#logger.info({ pool }, 'the pool has a thread again')
  }

  handlerPaused(handler: string, paused: boolean): void {
    if (paused) this.#logger.info({ handler }, 'handler paused')
    else this.#logger.info({ handler }, 'handler resumed')
  }

  resultUnusable(job: InFlightJob, error: AttemptError): void {
    this.#jobs.warn(job, { err: { code: error.code, message: error.message } }, 'result cannot be kept')
  }

  resultLost(job: InFlightJob, error: unknown): void {
    this.#jobs.warn(job, { err: plainError(error) }, 'result lost')
  }

  handlerOwned(handler: string, claim: string): void {
    this.#logger.info({ handler, claim }, 'handler owned')
  }

  handlerOnStandby(handler: string, owner: string): void {
    this.#logger.info({ handler, owner }, 'handler on stand-by')
  }

  recordUnavailable(error: unknown): void {
    const now = performance.now()
    if (now - this.#complainedAt < complaintMs) return
    this.#complainedAt = now
    this.#logger.warn({ err: plainError(error) }, 'attempt records unavailable, counting deliveries')
  }

  limitUnavailable(handler: string, error: unknown): void {
    const now = performance.now()
    if (now - (this.#limitComplaints.get(handler) ?? Number.NEGATIVE_INFINITY) < complaintMs) return
    this.#limitComplaints.set(handler, now)
    this.#logger.warn({ handler, err: plainError(error) }, 'limits unavailable, jobs wait')
  }

  limitWaits(handler: string, count: number): void {
    this.#metrics.limitWaits(handler, count)
  }

  delayed(job: InFlightJob, dueAt: number): void {
    this.#jobs.delayed(job, dueAt)
  }

  delayRefused(error: unknown): void {
    const now = performance.now()
    if (now - this.#delayComplainedAt < complaintMs) return
    this.#delayComplainedAt = now
    this.#logger.warn({ err: plainError(error) }, 'delayed job could not be moved, trying again')
  }
}

/** An error's code and message, for a log line. */
export function plainError(error: unknown): { code?: unknown; message: string } {
  if (!(error instanceof Error)) return { message: String(error) }
  const { code } = error as { code?: unknown }
  return code === undefined ? { message: error.message } : { code, message: error.message }
}
