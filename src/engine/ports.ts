import type { AttemptRecord } from '../core/attempt.ts'
import type { DeadLetter, HeaderEntry } from '../core/dead-letter.ts'
import type { DelayedJob, DueJob } from '../core/delayed-job.ts'
import type { AbortCode, PoolName, RateLimit } from '../core/handler-definition.ts'
import type { Priority } from '../core/names.ts'
import type { AttemptError, AttemptOutcome, Outcome } from '../core/outcome.ts'
import type { TickSchedule } from '../core/tick-plan.ts'
import type { TickRecord } from '../core/ticks.ts'
import type { DeadReason, RetryPolicy, Verdict } from '../core/verdict.ts'
import type { InFlightJob } from './in-flight-job.ts'

/** A handler with every option settled. */
export interface HandlerProfile {
  readonly name: string
  readonly pool: PoolName
  readonly deadlineMs: number
  readonly graceMs: number
  readonly retry: RetryPolicy
  readonly concurrency: number
  /** On all supervisors together; infinite when it is not limited. */
  readonly maxInFlight: number
  readonly rateLimit: RateLimit | undefined
  /** What it returns is kept for whoever asks. */
  readonly result: boolean
}

/** One arrival of a job from the broker. */
export interface Delivery {
  readonly handler: string
  readonly priority: Priority
  /** Together with `sequence`, which job it is. */
  readonly stream: string
  readonly subject: string
  readonly sequence: number
  /** How often the broker has delivered this job, this time included. */
  readonly deliveries: number
  /** How many more jobs of this handler and priority the broker had then, not counting redeliveries. */
  readonly pending: number
  /** When the broker stored it; epoch milliseconds. */
  readonly storedAt: number
  /** Where its settlement goes. */
  readonly reply: string
  readonly data: Uint8Array
  /** In order and as often as they were sent; undefined when the message has none. */
  readonly headers: readonly HeaderEntry[] | undefined
  /** Why the headers cannot be read at all. */
  readonly headerProblem: string | undefined
}

/** The engine's view of the broker. Nothing here throws, except promises where it says so. */
export interface Broker {
  readonly connected: boolean
  /** Rises with every connection; what was sent under an earlier one may have been lost. */
  readonly epoch: number
  /** Asks for up to `count` jobs. They, or the credit, come back through the listener. */
  pull(handler: string, priority: Priority, count: number): void
  ack(reply: string): void
  /** Gives a delivery back after `delayMs`; 0 is at once. */
  nak(reply: string, delayMs: number): void
  /** Renews the lease of a delivery. */
  extend(reply: string): void
  /** Resolves when the server has processed all that was sent before; rejects when that is not known. */
  barrier(): Promise<void>
  /** Resolves when the server has stored the dead letter; rejects when it has not, or cannot tell. */
  publishDeadLetter(letter: DeadLetter, headers: readonly HeaderEntry[], data: Uint8Array): Promise<void>
  /** The record of the job at this place. Rejects when the bucket cannot be reached. */
  readRecord(stream: string, sequence: number): Promise<AttemptRecord | undefined>
  writeRecord(stream: string, sequence: number, record: AttemptRecord): Promise<void>
  /** Adds a release to whatever record there is now, which may be another supervisor's. */
  releaseRecord(stream: string, sequence: number): Promise<void>
  forgetRecord(stream: string, sequence: number): void
  /** Resolves when the server has stored how this job ended; rejects when it has not, or cannot tell. */
  storeOutcome(jobId: string, entry: string): Promise<void>
  /** Asks how much of a handler is handed out. Rejects when the broker does not say. */
  readOutstanding(handler: string): Promise<Outstanding>
}

/** What the broker has handed out of a handler, of all priorities and to whomever. */
export interface Outstanding {
  /** Jobs delivered and not acked, given back ones included. */
  readonly deliveries: number
  /** Open pulls that are not ours. */
  readonly otherPulls: number
}

/** What the broker tells the engine. */
export interface BrokerListener {
  delivered(delivery: Delivery): void
  /** `count` asked-for jobs will not come. */
  creditReturned(handler: string, priority: Priority, count: number): void
  /** There are, or were, jobs of this handler and priority, and from now on they can be pulled. */
  sourceBound(handler: string, priority: Priority): void
  /** A new connection; open pulls of the old one are void. */
  reconnected(): void
  disconnected(): void
  /** A stream of jobs was made anew at `createdAt`: nothing remembered of the old one applies. */
  streamReplaced(stream: string, createdAt: number): void
  /** Whether this job was finished here, as far as we remember. */
  hasFinished(stream: string, sequence: number, storedAt: number): boolean
}

/** An entry of the state that all supervisors share, as it was read. */
export interface SharedEntry {
  /** Undefined when there is none, or it was removed. */
  readonly value: string | undefined
  /** What a write must expect to find; 0 when there never was one. */
  readonly revision: number
  /** When the broker stored it, by its own clock; 0 when there never was one. */
  readonly writtenAt: number
}

/** Small values that all supervisors share. Everything rejects when the broker cannot be reached. */
export interface SharedState {
  read(key: string): Promise<SharedEntry>
  /** Writes when nobody else has written since `revision` was read; undefined when somebody has. */
  write(key: string, value: string, revision: number): Promise<number | undefined>
  /** Writes whatever is there now. */
  set(key: string, value: string): Promise<void>
  remove(key: string): Promise<void>
  /**
   * Tells every entry whose key begins with `<prefix>.`, and from then on each change; undefined is removed.
   * Goes on by itself through lost connections and a bucket that is made anew. Returns what ends it.
   *
   * @param changed - `storedAt` is the broker's clock, epoch milliseconds.
   * @param listed - all that is there has been told; called again after each new listing.
   */
  watch(
    prefix: string,
    changed: (key: string, value: string | undefined, storedAt: number) => void,
    listed?: () => void,
  ): () => void
}

/** The record of a schedule, as it was read. */
export interface StoredTick {
  /** Undefined when there is none. */
  readonly record: TickRecord | undefined
  /** What a write must expect to find; 0 when there never was one. */
  readonly revision: number
}

/** The job of a tick. */
export interface TickJob {
  readonly id: string
  readonly schedule: string
  readonly handler: string
  /** Epoch milliseconds. */
  readonly instant: number
  /** JSON; undefined for an empty body. */
  readonly payload: string | undefined
}

/** The records of all schedules, and the way of their jobs into the job stream. Everything can reject. */
export interface TickStore {
  readonly connected: boolean
  read(schedule: string): Promise<StoredTick>
  /** Writes when nobody else has written since `revision` was read; undefined when somebody has. */
  write(schedule: string, record: TickRecord, revision: number): Promise<number | undefined>
  /** Stores the job, or tells where the one with its id is stored already. */
  publishJob(job: TickJob): Promise<{ readonly sequence: number; readonly duplicate: boolean }>
  /** Whether the job that was stored there is completed, or a dead letter. */
  isSettled(handler: string, jobId: string, sequence: number): Promise<boolean>
}

/** Where is said what becomes of ticks; telemetry implements it. */
export interface TickObserver {
  published(schedule: TickSchedule, instant: number, jobId: string): void
  /** Another supervisor was first; or a second job of a tick was not run. */
  duplicate(schedule: string): void
  /** The job of an earlier tick is not settled. */
  skipped(schedule: TickSchedule, instant: number): void
  /** Passed over; `until` is the first instant that was not. */
  missed(schedule: TickSchedule, count: number, until: number): void
  unavailable(schedule: string, error: unknown): void
}

/** Where jobs wait whose time has not come. Nothing here throws, except promises where it says so. */
export interface DelayedJobs {
  /** Names who hears of what arrives; once, before anything is pulled. */
  listen(listener: DelayedListener): void
  /**
   * Resolves when the server has stored the job; rejects when it has not, or cannot tell. Undefined when the
   * job cannot wait there at all: there is no such stream, or the job is too large to come back from it.
   */
  store(job: DelayedJob, headers: readonly HeaderEntry[], data: Uint8Array): Promise<void> | undefined
  /**
   * Publishes a job that is due; resolves and rejects like `store`. Doing it twice is doing it once.
   * Undefined when the message is for no job's subject, so that somebody else must have put it there.
   */
  publish(delivery: Delivery, due: DueJob): Promise<void> | undefined
  /** Asks for up to `count` messages of the delayed stream; one pull at a time. */
  pull(count: number): void
}

/** What the delayed stream tells the engine. */
export interface DelayedListener {
  /** `subject` and `handler` of the delivery are those that the job is for. */
  delayedArrived(delivery: Delivery): void
  /** The pull brings nothing more. */
  delayedPullEnded(): void
  /** The stream was made anew: nothing remembered of the old one applies. */
  delayedReplaced(stream: string): void
}

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
  /** True when the job had not begun and now never will. */
  takeBack(job: InFlightJob): boolean
  abort(job: InFlightJob, code: AbortCode): void
  /** When the job began, on the monotonic clock; undefined when it has not, or is done already. */
  startedAt(job: InFlightJob): number | undefined
  /** Handles results that have arrived but were not yet looked at. */
  collect(): void
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

/** Time, so that tests own it. */
export interface Clock {
  /** Epoch milliseconds. */
  now(): number
  /** Milliseconds that never step. */
  monotonicMs(): number
  /** Calls back once after `delayMs`; returns what cancels it. */
  after(delayMs: number, callback: () => void): () => void
}

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
  duplicateSuppressed(handler: string): void
  acksRepeated(handler: string, count: number): void
  clamped(job: InFlightJob, header: string, asked: number, limit: number): void
  threadKilled(lane: Lane, reason: ThreadEnd, job: InFlightJob | undefined): void
  handlerRests(handler: string, delayMs: number, crashes: number): void
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
