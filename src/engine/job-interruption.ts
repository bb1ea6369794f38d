import { type AttemptError, cancelled, type Outcome, timedOut } from '../core/outcome.ts'
import type { Clock } from './clock-port.ts'
import type { InFlightJob } from './in-flight-job.ts'
import type { JobBeginning } from './job-beginning.ts'
import type { JobEnd } from './job-end.ts'
import { judgeLaneLoss } from './lane-loss.ts'
import type { Lane, StartedJob } from './lanes-port.ts'
import type { Observer } from './observer-port.ts'
import type { Settlement } from './settlement.ts'
import type { Suspects } from './suspects.ts'

export interface InterruptionParts {
  readonly clock: Clock
  readonly observer: Observer
  readonly suspects: Suspects
  readonly settlement: Settlement
  readonly beginning: JobBeginning
  readonly end: JobEnd
}

/**
 * What cuts into the life of a job from outside.
 *
 * 1. `laneEnded`: its thread is gone; whose attempt that ends is judged, and the others start again.
 * 2. `laneSilent`: its thread runs nothing and begins nothing. `laneStuck`: its thread does not end.
 * 3. `leaseLost`: the broker takes its delivery away.
 * 4. `lateArrival` and `tooLateToBegin`: its lease had run out before that was noticed here.
 * 5. `settledElsewhere`: while it waited here, somebody who was thought dead has settled it.
 * 6. `evict`: its handler is another supervisor's now.
 * 7. `orphan`: its stream is gone.
 */
export class JobInterruption {
  readonly #parts: InterruptionParts

  constructor(parts: InterruptionParts) {
    this.#parts = parts
  }

  /** A thread is gone. Only the culprit is charged; what else was on it starts again. */
  laneEnded(
    lane: Lane,
    started: readonly StartedJob[],
    unstarted: readonly InFlightJob[],
    cause: AttemptError | undefined,
  ): void {
    const { clock, beginning } = this.#parts
    const again: InFlightJob[] = []
    for (const [{ job, startedAt }, fate] of judgeLaneLoss(
      started,
      cause !== undefined,
      beginning.draining,
    )) {
      const run = { startedAt, durationMs: clock.monotonicMs() - startedAt, threadId: lane.threadId }
      const end = (outcome: Outcome): void => this.#parts.end.ended(job, outcome, run)
      if (fate === 'timed_out') end(timedOut(job.deadlineMs))
      else if (fate === 'cancelled') end(cancelled)
      else if (fate === 'crashed') end({ kind: 'crashed', error: cause! })
      else if (fate === 'interrupted') end({ kind: 'interrupted' })
      else {
        this.#parts.end.interrupted(job, run)
        if (fate === 'suspect') beginning.queueSuspect(job)
        else again.push(job)
      }
    }
    beginning.requeue([...again, ...unstarted])
  }

  /**
   * A thread is blocked by what a finished job left behind: it is replaced, and what it has not begun goes elsewhere.
   * One that has begun something at the last moment, or has just ended it, is not.
   */
  laneSilent(lane: Lane): void {
    lane.endDone(this.#parts.clock.monotonicMs())
    this.#takeBackAll(lane)
    if (lane.outstanding > 0) return
    this.#parts.observer.threadKilled(lane, 'leak', undefined)
    lane.kill('leak')
  }

  /**
   * A thread is blocked in native code, for nobody knows how long. What it has not begun goes elsewhere.
   * What it runs keeps its lease and waits for the thread's end, but takes up no more room, and no other
   * suspect waits for it: another thread is there for the jobs after it.
   */
  laneStuck(lane: Lane): void {
    const { beginning, suspects } = this.#parts
    lane.endDone(Number.POSITIVE_INFINITY)
    this.#takeBackAll(lane)
    for (const job of lane.jobs()) {
      beginning.leaveRoom(job)
      if (job.suspect) suspects.ended(job)
      job.getStuck()
      // Another supervisor may have a place for what waits here.
      if (job.handler.stuck >= job.handler.profile.concurrency) beginning.giveBack(job.handler)
    }
  }

  #takeBackAll(lane: Lane): void {
    this.#parts.beginning.requeue(lane.jobs().filter((job) => lane.takeBack(job)))
  }

  /** The broker will give this delivery to somebody else. */
  leaseLost(job: InFlightJob): void {
    const { beginning, observer } = this.#parts
    job.leaseLost = true
    observer.leaseLost(job)
    const { lane } = job
    if (lane) {
      if (lane.takeBack(job)) beginning.drop(job)
      else if (job.abortCode === undefined) {
        job.abortCode = 'lease_lost'
        lane.abort(job, 'lease_lost')
      }
    } else if (beginning.takeOutWaiting(job)) beginning.drop(job)
  }

  /** It arrives, and its lease has run out on the way: somebody else has it, or had it. */
  lateArrival(job: InFlightJob): void {
    job.leaseLost = true
    this.#parts.observer.leaseLost(job)
    this.#parts.beginning.drop(job)
  }

  /** Their thread found that their leases had run out, and has not begun them. They may have been renewed meanwhile. */
  tooLateToBegin(jobs: readonly InFlightJob[]): void {
    const { settlement, beginning } = this.#parts
    const known = jobs.filter((job) => job.leaseLost || settlement.holdsLease(job))
    for (const job of jobs) if (!known.includes(job)) this.lateArrival(job)
    beginning.requeue(known)
  }

  /** It waits, and the broker has it no more. Nothing is said to the broker, should it be there all the same. */
  settledElsewhere(job: InFlightJob): void {
    const { beginning, observer } = this.#parts
    observer.duplicateSuppressed(job.handler.profile.name)
    if (beginning.takeOutWaiting(job)) beginning.drop(job)
  }

  /** Its handler is another supervisor's now: it has to end, and goes back when it has. */
  evict(job: InFlightJob): void {
    const { lane } = job
    if (!lane || job.abortCode !== undefined) return
    const { attempt } = job
    job.abortCode = 'lease_lost'
    lane.abort(job, 'lease_lost')
    this.#parts.clock.after(job.handler.profile.graceMs, () => {
      const stillRuns = job.lane === lane && job.attempt === attempt && job.abortCode === 'lease_lost'
      if (stillRuns && lane.startedAt(job) !== undefined) lane.kill('lease_lost')
    })
  }

  /** The stream of this delivery is gone, and its place in it may be another job's by now. */
  orphan(job: InFlightJob): void {
    job.orphaned = true
    if (!job.leaseLost) this.leaseLost(job)
  }
}
