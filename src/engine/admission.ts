import { type AttemptRecord, countAttempt, noRecord, withPriorHistory, withRelease } from '../core/attempt.ts'
import { type PlainHeaders, readJobHeaders } from '../core/job-headers.ts'
import { type AttemptError, cancelledError } from '../core/outcome.ts'
import { replayOfJob } from '../core/replay.ts'
import { tickOfJob } from '../core/ticks.ts'
import type { DeadReason } from '../core/verdict.ts'
import type { Broker } from './broker-port.ts'
import type { Clock } from './clock-port.ts'
import type { InFlightJob } from './in-flight-job.ts'
import type { Observer } from './observer-port.ts'
import type { OwnRecords } from './own-records.ts'
import type { ReplayFence } from './replay-fence.ts'
import type { TickFence } from './tick-fence.ts'

/** What becomes of a delivery before anything runs. */
export type Admitted =
  | { readonly kind: 'run' }
  /** Run it, but beside no other suspect: an earlier delivery of it ended without a trace. */
  | { readonly kind: 'suspect' }
  | { readonly kind: 'not_yet'; readonly dueAt: number }
  /** Another job stands for its tick, or for the same replay. */
  | { readonly kind: 'duplicate' }
  /** Somebody has settled it meanwhile: the broker has it no more. */
  | { readonly kind: 'gone' }
  | {
      readonly kind: 'dead'
      readonly reason: DeadReason
      readonly error: AttemptError | undefined
      readonly attempts: number
    }

const run: Admitted = { kind: 'run' }

/** A record without which a job would be given up on is asked for so often, with this pause. */
const readTries = 8
const readAgainMs = 500

/** The upper bounds of what a job's headers may ask for. */
export interface HeaderLimits {
  readonly deadlineLimitMs: number
  readonly attemptsLimit: number
}

export interface AdmissionParts {
  readonly broker: Broker
  readonly clock: Clock
  readonly observer: Observer
  readonly limits: HeaderLimits
  readonly ownRecords: OwnRecords
  readonly fence: TickFence
  /** False when the broker says that somebody has settled it. */
  isThere(job: InFlightJob): Promise<boolean>
  readonly replayFence: ReplayFence
  /** Somebody has cancelled it. */
  isCancelled(job: InFlightJob): boolean
}

/** Decides at the door: reads a job's headers, counts its attempt, turns away what must not run. */
export class Admission {
  readonly #broker: Broker
  readonly #clock: Clock
  readonly #observer: Observer
  readonly #limits: HeaderLimits
  readonly #ownRecords: OwnRecords
  readonly #fence: TickFence
  readonly #isThere: (job: InFlightJob) => Promise<boolean>
  readonly #replayFence: ReplayFence
  readonly #isCancelled: (job: InFlightJob) => boolean

  constructor(parts: AdmissionParts) {
    this.#broker = parts.broker
    this.#clock = parts.clock
    this.#observer = parts.observer
    this.#limits = parts.limits
    this.#ownRecords = parts.ownRecords
    this.#fence = parts.fence
    this.#isThere = (job) => parts.isThere(job)
    this.#replayFence = parts.replayFence
    this.#isCancelled = (job) => parts.isCancelled(job)
  }

  /**
   * Answers at once for a first delivery, and for the next one of a job that was nobody else's; any other redelivered
   * job's record has to be read, that of a tick, and that of a replay. So has that of a first delivery when there may
   * be one.
   */
  admit(job: InFlightJob): Admitted | Promise<Admitted> {
    const admitted = this.#admit(job)
    if (!job.headers) return admitted
    if (job.replayOf) return this.#replayFence.admit(job, job.replayOf, admitted)
    const tick = tickOfJob(job.headers)
    return tick ? this.#fence.admit(job, tick, admitted) : admitted
  }

  #admit(job: InFlightJob): Admitted | Promise<Admitted> {
    const problem = job.headerEntries ? this.#readHeaders(job) : undefined
    job.record = withPriorHistory(noRecord, job.priorHistory)
    if (job.deliveries > 1) return this.#admitOwn(job, problem) ?? this.#admitAgain(job, problem)
    if (this.#broker.mayHaveRecord(job.stream, job.sequence)) return this.#admitAgain(job, problem)
    job.isAllOurs = true
    job.attempt = job.priorAttempts + 1
    return this.#decide(job, problem, 0)
  }

  /** Undefined when its record has to be read: it is not known here, or the job would be given up on. */
  #admitOwn(job: InFlightJob, problem: string | undefined): Admitted | undefined {
    const record = this.#ownRecords.take(job)
    if (!record) return undefined
    const { record: unread } = job
    job.record = record
    job.storedReleases = record.released
    job.attempt = job.priorAttempts + countAttempt(job.deliveries, record).attempt
    const decided = this.#decide(job, problem, 0)
    if (decided.kind === 'dead') {
      job.record = unread
      job.storedReleases = 0
      return undefined
    }
    job.hasRecord = true
    job.isAllOurs = true
    return decided
  }

  async #admitAgain(job: InFlightJob, problem: string | undefined): Promise<Admitted> {
    let unexplained = 0
    try {
      const record = await this.#readRecord(job)
      job.hasRecord = record !== undefined
      job.record = withPriorHistory(record ?? noRecord, job.priorHistory)
      job.storedReleases = job.record.released
      // It was delivered to us again while we read.
      if (job.redeliveries > 0) job.record = withRelease(job.record, job.redeliveries)
      const count = countAttempt(job.deliveries, job.record)
      job.attempt = job.priorAttempts + count.attempt
      unexplained = count.unexplained
      job.unexplained = unexplained
    } catch (error) {
      this.#observer.recordUnavailable(error)
      job.recordUnread = true
      job.attempt = job.priorAttempts + job.deliveries
    }
    const { dead } = job.record
    const decided: Admitted = dead
      ? { kind: 'dead', reason: dead.reason, error: dead.error, attempts: dead.attempts }
      : this.#decide(job, problem, unexplained)
    // Whoever had it before may have been slow and not dead, and have completed it: that must not have both ends.
    return decided.kind === 'dead' && !(await this.#isThere(job)) ? { kind: 'gone' } : decided
  }

  /**
   * Releases count as deliveries, and a pause may have brought many: the count alone must not end a job
   * because the broker did not answer once.
   */
  async #readRecord(job: InFlightJob): Promise<AttemptRecord | undefined> {
    for (let triesLeft = readTries; ; triesLeft -= 1) {
      try {
        return await this.#broker.readRecord(job.stream, job.sequence)
      } catch (error) {
        const isOver = job.priorAttempts + job.deliveries > job.maxAttempts
        if (!isOver || triesLeft === 1 || job.leaseLost) throw error
        this.#observer.recordUnavailable(error)
        await new Promise<void>((resolve) => this.#clock.after(readAgainMs, resolve))
      }
    }
  }

  #decide(job: InFlightJob, problem: string | undefined, unexplained: number): Admitted {
    const attempts = job.attempt - 1
    if (this.#isCancelled(job)) return { kind: 'dead', reason: 'cancelled', error: cancelledError, attempts }
    if (problem !== undefined) {
      return {
        kind: 'dead',
        reason: 'invalid',
        error: { code: 'invalid_header', message: problem },
        attempts,
      }
    }
    // Without headers there is neither an expiry nor a time to start at.
    const now = job.headers ? this.#clock.now() : 0
    // A job that has come due may still look early by our clock, but one that expires first never runs.
    if (now >= job.expiresAt || (job.wasDelayed && job.runAt >= job.expiresAt)) {
      return { kind: 'dead', reason: 'expired', error: expiredError(job), attempts }
    }
    // Before its attempts are looked at: deliveries before its time cannot have run it.
    const dueAt = job.wasDelayed ? 0 : Math.min(job.runAt, job.expiresAt)
    if (dueAt > now) return { kind: 'not_yet', dueAt }
    if (job.attempt > job.maxAttempts) return givenUp(job, unexplained)
    return unexplained > 0 ? { kind: 'suspect' } : run
  }

  #readHeaders(job: InFlightJob): string | undefined {
    const plain = plainHeaders(job)
    const { headers, problem } = readJobHeaders(plain)
    // Once the job has moved, the message that was moved stood for the replay.
    const wasMoved = headers.priorAttempts !== undefined
    job.replayOf = wasMoved ? undefined : replayOfJob(plain)
    job.headers = wasMoved || job.replayOf ? asEnqueued(plain) : plain
    job.id = headers.id
    job.json = headers.json
    job.key = headers.key
    job.expiresAt = headers.expiresAt ?? Number.POSITIVE_INFINITY
    job.runAt = headers.runAt ?? 0
    job.wasDelayed = wasMoved
    job.priorAttempts = headers.priorAttempts ?? 0
    job.priorHistory = headers.priorHistory
    job.enqueuedAt = headers.enqueuedAt ?? job.storedAt
    const { deadlineLimitMs, attemptsLimit } = this.#limits
    if (headers.deadlineMs !== undefined) {
      job.deadlineMs = this.#clamp(job, 'Millrace-Deadline-Ms', headers.deadlineMs, deadlineLimitMs)
    }
    if (headers.maxAttempts !== undefined) {
      job.maxAttempts = this.#clamp(job, 'Millrace-Max-Attempts', headers.maxAttempts, attemptsLimit)
    }
    return job.headerProblem ?? problem
  }

  #clamp(job: InFlightJob, header: string, asked: number, limit: number): number {
    if (asked <= limit) return asked
    this.#observer.clamped(job, header, asked, limit)
    return limit
  }
}

/** The error of a job that was too late to start. */
export function expiredError(job: InFlightJob): AttemptError {
  return {
    code: 'expired',
    message: `not started before Millrace-Expires-At ${new Date(job.expiresAt).toISOString()}`,
  }
}

/**
 * No attempts are left. Attempts that nobody wrote down took their process with them; otherwise the
 * last one on record says why (its limit was lowered since).
 */
function givenUp(job: InFlightJob, unexplained: number): Admitted {
  // Deliveries beyond the last attempt did not run it; more can have, if its limit was lowered since.
  const attempts = Math.min(job.attempt - 1, Math.max(job.maxAttempts, job.record.failures))
  const last = job.record.history.at(-1)
  if (unexplained === 0 && last && last.outcome !== 'crashed') {
    const error: AttemptError = {
      code: last.error_code ?? 'handler_error',
      message: last.error ?? 'the last attempt failed',
    }
    return { kind: 'dead', reason: last.outcome === 'timed_out' ? 'deadline' : 'exhausted', error, attempts }
  }
  const error: AttemptError = {
    code: 'process_crash',
    message: `${unexplained} of ${attempts} attempts ended without a trace: their process died or lost its link; not run again`,
  }
  return { kind: 'dead', reason: 'crashed', error, attempts }
}

/** What a move or a replay writes, or replaces with its own. */
const writtenByMoves = new Set([
  'nats-msg-id',
  'millrace-job-id',
  'millrace-enqueued-at',
  'millrace-prior-attempts',
  'millrace-prior-history',
  'millrace-replay-of',
])

/** The handler of a moved or replayed job sees what was enqueued, not how we carried it. */
function asEnqueued(headers: PlainHeaders): PlainHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !writtenByMoves.has(name)))
}

function plainHeaders(job: InFlightJob): PlainHeaders {
  const plain: Record<string, string> = {}
  for (const [name, value] of job.headerEntries!) {
    const lower = name.toLowerCase()
    const text = Object.hasOwn(plain, lower) ? `${plain[lower]}, ${value}` : value
    if (lower !== '__proto__') plain[lower] = text
    else
      Object.defineProperty(plain, lower, {
        value: text,
        enumerable: true,
        writable: true,
        configurable: true,
      })
  }
  return plain
}
