import type { Random } from '../core/backoff.ts'
import { type Limits, turnMs } from '../core/limits.ts'
import type { Clock } from './clock-port.ts'
import type { InFlightJob } from './in-flight-job.ts'
import type { LimitNeed, LimitShare, Settled } from './limit-share.ts'
import { LimitedJobs } from './limited-jobs.ts'
import type { Observer } from './observer-port.ts'

/** When permits are out, or others have a claim on them, it is asked again after this, more or less. */
const pollMs = 100
/** Permits that nobody here has used for so long go back; that is looked at no more often than every `idleAgainMs`. */
const idleMs = 50
const idleAgainMs = 200
/** Permits that others are short of go back after this, so that several go back together. */
const returnMs = 20
/** After somebody else wrote first; up to this for each time in a row. */
const conflictMs = 4
const longestConflictMs = 100
/** While the record cannot be reached. */
const unreachableMs = 500
/** Supervisors that wait for the same instant ask at random moments of so many ms after it. */
const spreadMs = 5
/** A stop gives its permits back, but does not wait for long. */
const stopTries = 5

export interface HandlerLimitParts {
  readonly handler: string
  readonly limits: Limits
  readonly share: LimitShare
  readonly ackWaitMs: number
  readonly clock: Clock
  readonly random: Random
  readonly observer: Observer
  /** How many jobs of this handler the threads here could have at once. */
  room(): number
  pass(job: InFlightJob): void
}

/**
 * The jobs of one limited handler that wait here for their turn, and those that have had it.
 *
 * 1. Jobs that arrive in the same moment ask together: one read and one write of the record for all.
 * 2. A permit of `maxInFlight` whose job has ended goes to the next job here, without asking.
 * 3. Nothing is taken that could not start at once.
 * 4. While we have permits the record is looked at every second: others may have a claim on some of them.
 */
export class HandlerLimit {
  readonly #parts: HandlerLimitParts
  readonly #jobs = new LimitedJobs()
  #permits = 0
  #quota = 0
  /** The record may have something of ours. */
  #isMember = false
  #asking: Promise<void> | undefined
  /** The record may be told just now that we have fewer permits. */
  #isWriting = false
  #askedAt = Number.NEGATIVE_INFINITY
  /** No start comes free before this. */
  #closedUntil = Number.NEGATIVE_INFINITY
  /** And it makes no sense to ask before this, unless a permit of ours comes free. */
  #askAt = Number.NEGATIVE_INFINITY
  #conflicts = 0
  #wakeAt = Number.POSITIVE_INFINITY
  #cancelWake: (() => void) | undefined
  #scheduled = false
  #stopped = false

  constructor(parts: HandlerLimitParts) {
    this.#parts = parts
  }

  /** How many jobs wait here. */
  get waiting(): number {
    return this.#jobs.waiting
  }

  enter(job: InFlightJob): boolean {
    if (this.#jobs.isInside(job)) return true
    if (this.#jobs.waiting === 0 && this.#isFree()) {
      this.#jobs.letIn(job, this.#parts.clock.monotonicMs(), Number.POSITIVE_INFINITY)
      return true
    }
    this.#jobs.wait(job)
    this.#wake(this.#askAt)
    return false
  }

  /** The job began; one that did so too late takes its place in the window of a rate limit there. */
  started(job: InFlightJob, startedAt: number): void {
    if (this.#jobs.started(job, startedAt)) this.#wake(Number.NEGATIVE_INFINITY)
  }

  ended(job: InFlightJob): void {
    if (!this.#jobs.ended(job) || this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#goOn()
    })
  }

  remove(job: InFlightJob): void {
    this.#jobs.remove(job)
    this.#forgetClaim()
  }

  takeAll(): InFlightJob[] {
    const jobs = this.#jobs.takeAll()
    this.#forgetClaim()
    return jobs
  }

  /** The connection is new: asks at once if there is something to ask. */
  reconnected(): void {
    if (this.#isMember || this.#jobs.waiting > 0) this.#wake(Number.NEGATIVE_INFINITY)
  }

  /** Gives back what it has; what still runs then keeps its permits until they are void. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#cancelWake?.()
    await this.#asking
    for (let tries = stopTries; tries > 0 && this.#isMember; tries -= 1) {
      const { inside: inFlight, late } = this.#jobs
      try {
        const none = { inFlight, ready: 0, wanted: inFlight, late }
        if (await this.#parts.share.ask(() => none)) return
      } catch {
        return
      }
    }
  }

  /** Nothing waits any more, and the record may say otherwise. */
  #forgetClaim(): void {
    if (this.#isMember && this.#jobs.waiting === 0) this.#wake(this.#parts.clock.monotonicMs() + idleMs)
  }

  /** A job may pass on a permit that we have. */
  #isFree(): boolean {
    const { limits, share } = this.#parts
    return (
      !this.#isWriting &&
      !limits.rate &&
      this.#jobs.inside < Math.min(this.#permits, this.#quota) &&
      this.#hasRoom &&
      share.isValid
    )
  }

  get #hasRoom(): boolean {
    return this.#jobs.inside < this.#parts.room()
  }

  #pass(most: number, startBy = Number.POSITIVE_INFINITY): void {
    for (let passed = 0; passed < most; passed += 1) {
      const job = this.#jobs.next()
      if (!job) return
      this.#jobs.letIn(job, this.#parts.clock.monotonicMs(), startBy)
      this.#parts.pass(job)
    }
  }

  /** Something has ended, or there is an answer: the next jobs pass, or what is too much goes back. */
  #goOn(): void {
    const now = this.#parts.clock.monotonicMs()
    while (this.#jobs.waiting > 0 && this.#isFree()) this.#pass(1)
    if (this.#jobs.late.jobs > 0) this.#wake(Number.NEGATIVE_INFINITY)
    const unused = this.#permits - this.#jobs.inside
    if (this.#jobs.waiting > 0 && this.#hasRoom) this.#wake(unused > 0 ? this.#closedUntil : this.#askAt)
    else if (unused > 0 && this.#permits > this.#quota) this.#wake(now + returnMs)
    else if (unused > 0) this.#wake(Math.max(now + idleMs, this.#askedAt + idleAgainMs))
  }

  #wake(at: number): void {
    if (this.#stopped || at >= this.#wakeAt) return
    this.#wakeAt = at
    this.#cancelWake?.()
    this.#cancelWake = this.#parts.clock.after(Math.max(0, at - this.#parts.clock.monotonicMs()), () => {
      this.#wakeAt = Number.POSITIVE_INFINITY
      // Whoever asks already looks again when it has its answer.
      this.#asking ??= this.#ask().finally(() => {
        this.#asking = undefined
      })
    })
  }

  async #ask(): Promise<void> {
    const { share, observer, handler, clock, random } = this.#parts
    this.#askedAt = clock.monotonicMs()
    try {
      const settled = await share.ask(() => this.#need())
      this.#conflicts = settled ? 0 : this.#conflicts + 1
      if (settled) this.#settled(settled)
      else this.#askAgainIn(random() * Math.min(longestConflictMs, conflictMs * this.#conflicts))
    } catch (error) {
      // What we wrote may have arrived all the same.
      this.#isMember = true
      if (this.#isWriting) this.#permits = Math.min(this.#permits, this.#jobs.inside)
      observer.limitUnavailable(handler, error)
      this.#askAgainIn(unreachableMs * (1 + random()))
      this.#count()
    }
  }

  #need(): LimitNeed {
    const { clock, limits, room } = this.#parts
    const { inside, waiting, lastInAt, peak } = this.#jobs
    const now = clock.monotonicMs()
    const ready = Math.min(waiting, Math.max(0, room() - inside))
    const kept = now - lastInAt >= idleMs ? 0 : Math.min(this.#permits, peak)
    if (limits.rate) this.#jobs.countOverdue(now, limits.rate.perMs)
    this.#isWriting = true
    return { inFlight: inside, ready, wanted: Math.max(inside + ready, kept), late: this.#jobs.late }
  }

  #settled({ answer, askedAt, startBy, late }: Settled): void {
    const { limits, clock, random, ackWaitMs } = this.#parts
    this.#isWriting = false
    this.#jobs.recorded(late.jobs)
    this.#permits = answer.permits
    this.#quota = answer.quota
    this.#isMember = answer.isMember
    this.#jobs.peak = this.#jobs.inside
    if (limits.rate) this.#pass(answer.passing, startBy)
    const now = clock.monotonicMs()
    this.#closedUntil =
      answer.opensInMs === undefined
        ? Number.NEGATIVE_INFINITY
        : askedAt + answer.opensInMs + random() * spreadMs
    // With permits, those that others give back are found soon enough; without, nothing goes on here.
    const pauseMs = answer.permits > 0 ? turnMs : pollMs
    const isStuck = answer.refused > 0 && (answer.passing === 0 || !limits.rate)
    this.#askAt = isStuck ? Math.max(this.#closedUntil, now + pauseMs * (0.5 + random())) : this.#closedUntil
    if (this.#isMember) {
      const lookMs = answer.permits > 0 ? answer.turnEndsInMs + random() * spreadMs : Number.POSITIVE_INFINITY
      this.#wake(askedAt + Math.min(lookMs, ackWaitMs / 3))
    }
    this.#goOn()
    this.#count()
  }

  #askAgainIn(delayMs: number): void {
    this.#isWriting = false
    this.#askAt = this.#parts.clock.monotonicMs() + delayMs
    this.#wake(this.#askAt)
  }

  /** Tells of the jobs that did not pass when it was first asked for them. */
  #count(): void {
    const more = this.#jobs.countNewlyWaiting()
    if (more > 0) this.#parts.observer.limitWaits(this.#parts.handler, more)
  }
}
