import type { AbortCode, PoolName } from '../core/handler-definition.ts'
import type { AttemptError, Outcome } from '../core/outcome.ts'
import type { Whereabouts } from '../core/whereabouts.ts'
import type { InFlightJob } from './in-flight-job.ts'

/** One thread of a pool, from the supervisor's side. */
export interface Lane {
  readonly threadId: number
  readonly pool: PoolName
  /** Jobs at once. */
  readonly concurrency: number
  /** Posted and neither ended nor taken back. */
  readonly outstanding: number
  /** False while it is starting, ending or stuck. */
  readonly open: boolean
  /** Set once it has been told to end. */
  readonly endReason: ThreadEnd | undefined
  /** The measured run times of what is on it, added up. */
  readonly backlogMs: number
  /** On the monotonic clock; when it last reported, or got work while it had none. */
  lastProgressAt: number
  /** It did not begin what was posted to it; nothing more is, until it reports. */
  stalled: boolean
  /** Takes a slot for a job; it goes to the thread with the next `send`. */
  put(job: InFlightJob): void
  /** Sends everything that was put since the last time, in one message. */
  send(): void
  /** The lease of a job that is on it lasts longer than it did. */
  renewed(job: InFlightJob): void
  /** True when the job had not begun and now never will. */
  takeBack(job: InFlightJob): boolean
  abort(job: InFlightJob, code: AbortCode): void
  /** When the job began, on the monotonic clock; undefined when it has not, or is done already. */
  startedAt(job: InFlightJob): number | undefined
  /** Handles results that have arrived but were not yet looked at. */
  collect(): void
  /**
   * Ends what was done by this instant (on the monotonic clock) and is not reported yet: its thread is blocked. Not
   * sooner, because what a job left behind may still make it a failure before the thread reports; and some seconds
   * later when no job can be seen that blocks it. True when there is more that is done and not reported.
   */
  endDone(before: number): boolean
  /** Finds out where a begun job is, without stopping it: within `limitMs`, and without ever rejecting. */
  examine(job: InFlightJob, limitMs: number): Promise<Whereabouts>
  /** Ends the thread; the pool reports `laneEnded` once it is really gone. */
  kill(reason: ThreadEnd): void
  jobs(): InFlightJob[]
}

/** A job that had begun on a thread that is gone, and when on the monotonic clock. */
export interface StartedJob {
  readonly job: InFlightJob
  readonly startedAt: number
  /** The abort of its signal had reached it. */
  readonly signalled: boolean
  /** The thread was inside its first synchronous code, or in a listener of its signal. */
  readonly inside: boolean
}

/** Why a thread ended: the `reason` of `millrace_thread_restarts_total`. */
export type ThreadEnd =
  | 'deadline'
  | 'cancelled'
  | 'crash'
  | 'out_of_memory'
  | 'leak'
  | 'shutdown'
  | 'lease_lost'

/** What the pools tell the engine. */
export interface PoolListener {
  laneReady(lane: Lane): void
  jobEnded(lane: Lane, job: InFlightJob, outcome: Outcome, startedAt: number, durationMs: number): void
  /** A thread has not begun these jobs and will not, because their leases had run out. */
  jobsLate(jobs: readonly InFlightJob[]): void
  /** A batch of results was handled. */
  resultsHandled(): void
  /**
   * The thread is gone. `started` had begun and have no outcome, `unstarted` had not. `cause` is what
   * ended the thread, unless we did.
   */
  laneEnded(
    lane: Lane,
    started: StartedJob[],
    unstarted: InFlightJob[],
    cause: AttemptError | undefined,
  ): void
  /** A thread does not end although it was told to: it is blocked in native code. */
  laneStuck(lane: Lane): void
}
