import type { PoolName } from '../core/handler-definition.ts'
import type { AttemptError, AttemptOutcome } from '../core/outcome.ts'
import type { DeadReason, Verdict } from '../core/verdict.ts'
import type { InFlightJob } from './in-flight-job.ts'
import type { Lane, ThreadEnd } from './lanes-port.ts'

/** Where the engine says what happened; telemetry implements it. */
export interface Observer {
  started(job: InFlightJob): void
  /** `waitMs`, from the enqueue to the start, is below 0 when it is not known. */
  ended(job: InFlightJob, outcome: AttemptOutcome, durationMs: number, waitMs: number): void
  settled(job: InFlightJob, verdict: Verdict['kind']): void
  retrying(job: InFlightJob, delayMs: number, error: AttemptError): void
  deadLettered(job: InFlightJob, reason: DeadReason, error: AttemptError | undefined): void
  deadLetterRefused(job: InFlightJob, error: unknown): void
  leaseLost(job: InFlightJob): void
  /** Leases were renewed so much later than they should have been: this process was held up. */
  heartbeatLate(lateMs: number): void
  duplicateSuppressed(handler: string): void
  acksRepeated(handler: string, count: number): void
  clamped(job: InFlightJob, header: string, asked: number, limit: number): void
  threadKilled(lane: Lane, reason: ThreadEnd, job: InFlightJob | undefined): void
  handlerRests(handler: string, delayMs: number, crashes: number): void
  /** A pool has lost its threads and no new one gets ready, so that its jobs go back; or one is ready again. */
  poolThreadless(pool: PoolName, threadless: boolean): void
  recordUnavailable(error: unknown): void
  /** What a handler's limits still allow cannot be found out; its jobs wait. */
  limitUnavailable(handler: string, error: unknown): void
  /** So many more jobs could not start at once because of their handler's limits. */
  limitWaits(handler: string, count: number): void
  /** An operator has paused or resumed a handler on every supervisor. */
  handlerPaused(handler: string, paused: boolean): void
  /** The job was put aside until then; epoch milliseconds. */
  delayed(job: InFlightJob, dueAt: number): void
  /** A job could not be put aside, or not be brought back yet; it is tried again. */
  delayRefused(error: unknown): void
  /** What the handler returned cannot be kept: too large, or nothing that JSON holds. The job has completed. */
  resultUnusable(job: InFlightJob, error: AttemptError): void
  /** How this job ended could not be stored, and nobody will learn it from there. */
  resultLost(job: InFlightJob, error: unknown): void
  /** This supervisor takes the jobs of a handler whose jobs have keys. */
  handlerOwned(handler: string, claim: string): void
  /** Another one does; `owner` is its id. */
  handlerOnStandby(handler: string, owner: string): void
}
