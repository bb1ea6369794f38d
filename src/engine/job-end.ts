import { withFailure } from '../core/attempt.ts'
import type { Random } from '../core/backoff.ts'
import type { HistoryEntry } from '../core/history.ts'
import {
  type AttemptError,
  type AttemptOutcome,
  cancelledError,
  type Outcome,
  underAbort,
} from '../core/outcome.ts'
import { decideVerdict, type RetryPolicy } from '../core/verdict.ts'
import type { Whereabouts } from '../core/whereabouts.ts'
import { expiredError } from './admission.ts'
import type { Clock } from './clock-port.ts'
import type { Gates } from './gates.ts'
import type { HandlerState } from './handler-state.ts'
import type { InFlightJob } from './in-flight-job.ts'
import type { JobBeginning } from './job-beginning.ts'
import type { Observer } from './observer-port.ts'
import type { Settlement } from './settlement.ts'
import { WallTime } from './wall-time.ts'

/** What the end of an attempt moves. */
export interface EndParts {
  readonly clock: Clock
  readonly observer: Observer
  readonly random: Random
  readonly supervisorId: string
  readonly gates: Gates
  readonly settlement: Settlement
  readonly beginning: JobBeginning
  /** Somebody has cancelled it. */
  isCancelled(job: InFlightJob): boolean
}

/** An attempt on its thread. */
export interface Run {
  /** On the monotonic clock. */
  readonly startedAt: number
  readonly durationMs: number
  readonly threadId: number
}

/**
 * An attempt begins and ends.
 *
 * 1. That it began is told once, when that is first known.
 * 2. Its thread reported an outcome, or ended, or was ended: room, gates and the measured run time learn of it.
 * 3. The verdict on the outcome is carried out by the settlement.
 * 4. A job with a key that is to be attempted again is held until then, and goes back to the gates.
 */
export class JobEnd {
  readonly #parts: EndParts
  readonly #wallTime: WallTime

  constructor(parts: EndParts) {
    this.#parts = parts
    this.#wallTime = new WallTime(parts.clock)
  }

  ended(job: InFlightJob, reported: Outcome, run: Run): void {
    const { observer, beginning, gates, settlement } = this.#parts
    job.comeOff()
    const outcome = underAbort(reported, job.abortCode, job.deadlineMs, whereaboutsOf(job))
    beginning.leaveRoom(job)
    if (outcome.kind !== 'invalid' && outcome.kind !== 'expired') {
      this.sayStarted(job, run.threadId, run.startedAt)
      observer.ended(
        job,
        outcome.kind satisfies AttemptOutcome,
        run.durationMs,
        // A job that had to wait for its time was not late before that.
        Math.max(0, this.#wallTime.at(run.startedAt) - Math.max(job.enqueuedAt, job.runAt)),
      )
      if (outcome.kind === 'crashed') this.#crashed(job.handler)
      else if (outcome.kind === 'completed') job.handler.crashesInARow = 0
      if (outcome.kind !== 'interrupted' && outcome.kind !== 'cancelled') job.handler.measured(run.durationMs)
    }
    gates.ended(job)
    if (outcome.kind === 'completed') settlement.complete(job)
    else this.#settle(job, outcome, run)
  }

  /** Its thread is gone, and it was not to blame: this start does not count. */
  interrupted(job: InFlightJob, run: Run): void {
    this.sayStarted(job, run.threadId, run.startedAt)
    this.#parts.observer.ended(job, 'interrupted', run.durationMs, -1)
    job.comeOff()
    job.forgetRun()
  }

  /** Tells once for each attempt that it began; called when that is first known. */
  sayStarted(job: InFlightJob, threadId: number, startedAt: number): void {
    if (job.startSaid) return
    job.startSaid = true
    job.threadId = threadId
    this.#parts.gates.started(job, startedAt)
    this.#parts.observer.started(job)
  }

  #settle(job: InFlightJob, outcome: Outcome, run: Run): void {
    const { settlement, observer, random } = this.#parts
    if (!settlement.holdsLease(job)) {
      if (!job.leaseLost) observer.leaseLost(job)
      void settlement.abandon(job, true)
      return
    }
    const backoff = job.handler.profile.retry.backoff
    const policy: RetryPolicy = { maxAttempts: job.maxAttempts, backoff }
    const verdict = decideVerdict(outcome, job.attempt, policy, random)
    const error = errorOf(outcome, job)
    switch (verdict.kind) {
      case 'ack':
        settlement.ack(job)
        return
      case 'release':
        if (job.key !== undefined && outcome.kind === 'snoozed')
          void this.#hold(job, verdict.delayMs, undefined)
        else void settlement.release(job, verdict.delayMs)
        return
      case 'retry': {
        const entry = this.#entry(job, outcome, error, run)
        observer.retrying(job, verdict.delayMs, error!)
        if (job.key !== undefined) void this.#hold(job, verdict.delayMs, entry)
        else void settlement.retry(job, verdict.delayMs, entry)
        return
      }
      case 'dead_letter': {
        const ran = outcome.kind !== 'invalid' && outcome.kind !== 'expired'
        if (ran) job.record = withFailure(job.record, this.#entry(job, outcome, error, run))
        else job.threadId = 0
        void settlement.deadLetter(job, verdict.reason, error, ran ? job.attempt : job.attempt - 1)
      }
    }
  }

  /** It has a key, so it keeps its place, and its delivery, until it is attempted again. */
  async #hold(job: InFlightJob, delayMs: number, entry: HistoryEntry | undefined): Promise<void> {
    const { settlement, beginning } = this.#parts
    await settlement.hold(job, delayMs, entry)
    if (entry) job.attempt += 1
    job.suspect = false
    job.forgetRun()
    if (job.leaseLost) beginning.drop(job)
    else if (this.#parts.isCancelled(job)) {
      void settlement.deadLetter(job, 'cancelled', cancelledError, job.attempt - 1)
    } else beginning.queueAgain(job)
  }

  #entry(job: InFlightJob, outcome: Outcome, error: AttemptError | undefined, run: Run): HistoryEntry {
    const { supervisorId } = this.#parts
    return {
      attempt: job.attempt,
      at: new Date(this.#wallTime.at(run.startedAt)).toISOString(),
      duration_ms: Math.round(run.durationMs),
      outcome: outcome.kind,
      ...(error ? { error_code: error.code, error: error.message } : {}),
      ...(error?.frames ? { stack: error.frames } : {}),
      ...whereIn(job),
      supervisor: supervisorId,
      thread: run.threadId,
    }
  }

  #crashed(handler: HandlerState): void {
    const pauseMs = handler.crashed(this.#parts.clock.monotonicMs())
    if (pauseMs > 0) this.#parts.observer.handlerRests(handler.profile.name, pauseMs, handler.crashesInARow)
  }
}

/** What its thread told of it; undefined when it was not asked, or has not answered. */
function whereaboutsOf({ whereabouts }: InFlightJob): Whereabouts | undefined {
  return whereabouts === 'asked' ? undefined : whereabouts
}

function whereIn(job: InFlightJob): { where?: Whereabouts } {
  const where = whereaboutsOf(job)
  return where ? { where } : {}
}

function errorOf(outcome: Outcome, job: InFlightJob): AttemptError | undefined {
  if (outcome.kind === 'expired') return expiredError(job)
  return 'error' in outcome ? outcome.error : undefined
}
