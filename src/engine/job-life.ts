import { withFailure, withRelease } from '../core/attempt.ts'
import type { Random } from '../core/backoff.ts'
import type { HistoryEntry } from '../core/history.ts'
import {
  type AttemptError,
  type AttemptOutcome,
  cancelled,
  cancelledError,
  type Outcome,
  timedOut,
  underAbort,
} from '../core/outcome.ts'
import { decideVerdict, type RetryPolicy } from '../core/verdict.ts'
import { type Admission, type Admitted, expiredError } from './admission.ts'
import type { Broker, Delivery } from './broker-port.ts'
import type { Clock } from './clock-port.ts'
import type { Delayer } from './delayer.ts'
import type { Dispatcher } from './dispatcher.ts'
import type { Finished } from './finished.ts'
import type { Gates } from './gates.ts'
import type { HandlerState } from './handler-state.ts'
import type { InFlight } from './in-flight.ts'
import { InFlightJob } from './in-flight-job.ts'
import { judgeLaneLoss } from './lane-loss.ts'
import type { Lane, StartedJob } from './lanes-port.ts'
import type { Observer } from './observer-port.ts'
import type { Receipts } from './receipts.ts'
import type { Settlement } from './settlement.ts'
import type { Suspects } from './suspects.ts'

/** What a job meets on its way; made by the engine. */
export interface LifeParts {
  readonly broker: Broker
  readonly clock: Clock
  readonly observer: Observer
  readonly random: Random
  readonly supervisorId: string
  readonly handlers: ReadonlyMap<string, HandlerState>
  readonly inFlight: InFlight
  readonly finished: Finished
  readonly receipts: Receipts
  readonly admission: Admission
  readonly settlement: Settlement
  readonly gates: Gates
  readonly delayer: Delayer
  readonly suspects: Suspects
  /** Somebody has cancelled it. */
  isCancelled(job: InFlightJob): boolean
  lanes(): Iterable<Lane>
  dispatcherOf(job: { readonly handler: HandlerState }): Dispatcher
  /** Some room became free, or something arrived: look whether to pull. */
  roomChanged(handler: HandlerState): void
}

/**
 * The life of one job in this process, step by step:
 *
 * 1. `arrive`: a delivery comes in; one that we finished or hold already is not run again.
 * 2. `admit`: headers, expiry, attempt; some go straight to their dead letter.
 * 3. `queue`: it waits at the gates for its turn, then for a thread. Its deadline does not run yet.
 * 4. `end`: its thread reported an outcome, or ended, or was ended.
 * 5. `settle`: the verdict on that outcome is carried out.
 *
 * `leaseLost` can cut in anywhere.
 */
export class JobLife {
  /** While draining, what has not begun is given back. */
  draining = false
  readonly #parts: LifeParts

  constructor(parts: LifeParts) {
    this.#parts = parts
  }

  arrive(delivery: Delivery): void {
    const { broker, clock, observer, finished, inFlight, handlers } = this.#parts
    const handler = handlers.get(delivery.handler)!
    const now = clock.monotonicMs()
    handler.sources[delivery.priority].arrived(delivery.pending, now)
    if (finished.has(delivery.stream, delivery.sequence, delivery.storedAt)) {
      broker.ack(delivery.reply)
      observer.duplicateSuppressed(delivery.handler)
      this.#parts.roomChanged(handler)
      return
    }
    const held = inFlight.find(delivery.stream, delivery.sequence)
    if (held?.storedAt === delivery.storedAt) {
      this.#adopt(held, delivery, now)
      this.#parts.roomChanged(handler)
      return
    }
    if (held) this.orphan(held)
    const job = new InFlightJob(delivery, handler, now)
    job.source.held += 1
    inFlight.add(job)
    const admitted = this.#parts.admission.admit(job)
    if (admitted instanceof Promise) {
      this.#parts.gates.reserve(job)
      this.#parts.suspects.expect(admitted.then((late) => this.#admit(job, late)))
    } else this.#admit(job, admitted)
    this.#parts.roomChanged(handler)
  }

  /** The broker gave us again what we hold: its lease had run out, and now it is ours anew. */
  #adopt(job: InFlightJob, delivery: Delivery, now: number): void {
    job.reply = delivery.reply
    job.deliveries = delivery.deliveries
    job.renewedAt = now
    job.leaseLost = false
    job.adoptions += 1
    job.record = withRelease(job.record)
    this.#parts.observer.duplicateSuppressed(delivery.handler)
  }

  #admit(job: InFlightJob, admitted: Admitted): void {
    if (job.leaseLost) this.#drop(job)
    else if (admitted.kind === 'duplicate') {
      this.#leaveRoom(job)
      this.#parts.settlement.ack(job)
    } else if (admitted.kind === 'dead') {
      this.#leaveRoom(job)
      void this.#parts.settlement.deadLetter(job, admitted.reason, admitted.error, admitted.attempts)
    } else if (admitted.kind === 'not_yet') {
      this.#leaveRoom(job)
      this.#parts.delayer.add(job, admitted.dueAt)
    } else if (this.#turnsAway(job)) this.release(job)
    else if (admitted.kind === 'suspect') this.#suspect(job)
    else this.#queue(job)
  }

  /** It runs beside no other suspect: a gate sees to that. */
  #suspect(job: InFlightJob): void {
    this.#parts.suspects.suspected(job)
    this.#queue(job)
  }

  #queue(job: InFlightJob): void {
    job.handler.movedInARow = 0
    if (this.#turnsAway(job)) this.release(job)
    else if (this.#parts.gates.enter(job)) this.#parts.dispatcherOf(job).add(job)
  }

  /** It has to wait at a gate, perhaps for long. */
  parked(job: InFlightJob): void {
    this.#leaveRoom(job)
  }

  /** It has waited, and is past the last gate. */
  through(job: InFlightJob): void {
    if (this.#turnsAway(job)) this.release(job)
    else {
      this.#takeRoom(job)
      this.#parts.dispatcherOf(job).add(job)
    }
  }

  /** What has not begun is given back while draining, and while others or nobody may begin it. */
  #turnsAway(job: InFlightJob): boolean {
    return this.draining || job.handler.halted
  }

  /** Gives back everything of a handler that has not begun, the earliest first; what runs goes on. */
  giveBack(handler: HandlerState): void {
    const { gates, lanes, dispatcherOf } = this.#parts
    const unbegun = [...gates.takeAll(handler), ...dispatcherOf({ handler }).takeAll(handler)]
    for (const lane of lanes()) {
      for (const job of lane.jobs()) if (job.handler === handler && lane.takeBack(job)) unbegun.push(job)
    }
    unbegun.sort((a, b) => a.sequence - b.sequence)
    for (const job of unbegun) this.release(job)
  }

  /** An attempt is over. `startedAt` is on the monotonic clock. */
  end(job: InFlightJob, reported: Outcome, startedAt: number, durationMs: number, threadId: number): void {
    const { clock, observer } = this.#parts
    const outcome = underAbort(reported, job.abortCode, job.deadlineMs)
    this.#leaveRoom(job)
    if (outcome.kind !== 'invalid' && outcome.kind !== 'expired') {
      this.sayStarted(job, threadId, startedAt)
      const startedAtMs = clock.now() - (clock.monotonicMs() - startedAt)
      observer.ended(
        job,
        outcome.kind satisfies AttemptOutcome,
        durationMs,
        // A job that had to wait for its time was not late before that.
        Math.max(0, startedAtMs - Math.max(job.enqueuedAt, job.runAt)),
      )
      if (outcome.kind === 'crashed') this.#crashed(job.handler)
      else if (outcome.kind === 'completed') job.handler.crashesInARow = 0
      if (outcome.kind !== 'interrupted' && outcome.kind !== 'cancelled') job.handler.measured(durationMs)
    }
    this.#parts.gates.ended(job)
    if (outcome.kind === 'completed') this.#parts.settlement.complete(job)
    else this.#settle(job, outcome, startedAt, durationMs, threadId)
  }

  /** Tells once for each attempt that it began; called when that is first known. */
  sayStarted(job: InFlightJob, threadId: number, startedAt: number): void {
    if (job.startSaid) return
    job.startSaid = true
    job.threadId = threadId
    this.#parts.gates.started(job, startedAt)
    this.#parts.observer.started(job)
  }

  #settle(job: InFlightJob, outcome: Outcome, startedAt: number, durationMs: number, threadId: number): void {
    const { settlement, observer, random } = this.#parts
    if (!settlement.holdsLease(job)) {
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
        const entry = this.#entry(job, outcome, error, startedAt, durationMs, threadId)
        observer.retrying(job, verdict.delayMs, error!)
        if (job.key !== undefined) void this.#hold(job, verdict.delayMs, entry)
        else void settlement.retry(job, verdict.delayMs, entry)
        return
      }
      case 'dead_letter': {
        const ran = outcome.kind !== 'invalid' && outcome.kind !== 'expired'
        if (ran) {
          const entry = this.#entry(job, outcome, error, startedAt, durationMs, threadId)
          job.record = withFailure(job.record, entry)
        } else job.threadId = 0
        void settlement.deadLetter(job, verdict.reason, error, ran ? job.attempt : job.attempt - 1)
      }
    }
  }

  /** It has a key, so it keeps its place, and its delivery, until it is attempted again. */
  async #hold(job: InFlightJob, delayMs: number, entry: HistoryEntry | undefined): Promise<void> {
    await this.#parts.settlement.hold(job, delayMs, entry)
    if (entry) job.attempt += 1
    job.suspect = false
    job.startSaid = false
    job.abortCode = undefined
    if (job.leaseLost) this.#drop(job)
    else if (this.#parts.isCancelled(job)) {
      void this.#parts.settlement.deadLetter(job, 'cancelled', cancelledError, job.attempt - 1)
    } else {
      this.#takeRoom(job)
      this.#queue(job)
    }
  }

  #entry(
    job: InFlightJob,
    outcome: Outcome,
    error: AttemptError | undefined,
    startedAt: number,
    durationMs: number,
    threadId: number,
  ): HistoryEntry {
    const { clock, supervisorId } = this.#parts
    return {
      attempt: job.attempt,
      at: new Date(clock.now() - (clock.monotonicMs() - startedAt)).toISOString(),
      duration_ms: Math.round(durationMs),
      outcome: outcome.kind,
      ...(error ? { error_code: error.code, error: error.message } : {}),
      supervisor: supervisorId,
      thread: threadId,
    }
  }

  #crashed(handler: HandlerState): void {
    const pauseMs = handler.crashed(this.#parts.clock.monotonicMs())
    if (pauseMs > 0) this.#parts.observer.handlerRests(handler.profile.name, pauseMs, handler.crashesInARow)
  }

  /** A thread is gone. Only the culprit is charged; what else was on it starts again. */
  laneEnded(
    lane: Lane,
    started: readonly StartedJob[],
    unstarted: readonly InFlightJob[],
    cause: AttemptError | undefined,
  ): void {
    const again: InFlightJob[] = []
    for (const [{ job, startedAt }, fate] of judgeLaneLoss(started, cause !== undefined, this.draining)) {
      const durationMs = this.#parts.clock.monotonicMs() - startedAt
      const end = (outcome: Outcome): void => this.end(job, outcome, startedAt, durationMs, lane.threadId)
      if (fate === 'timed_out') end(timedOut(job.deadlineMs))
      else if (fate === 'cancelled') end(cancelled)
      else if (fate === 'crashed') end({ kind: 'crashed', error: cause! })
      else if (fate === 'interrupted') end({ kind: 'interrupted' })
      else {
        this.#interrupted(job, startedAt, durationMs, lane.threadId)
        if (fate === 'suspect') this.#suspect(job)
        else again.push(job)
      }
    }
    this.#requeue([...again, ...unstarted])
  }

  /** Its thread is gone, and it was not to blame: this start does not count. */
  #interrupted(job: InFlightJob, startedAt: number, durationMs: number, threadId: number): void {
    this.sayStarted(job, threadId, startedAt)
    this.#parts.observer.ended(job, 'interrupted', durationMs, -1)
    job.startSaid = false
    job.abortCode = undefined
  }

  #requeue(jobs: readonly InFlightJob[]): void {
    const kept: InFlightJob[] = []
    for (const job of jobs) {
      job.abortCode = undefined
      if (job.leaseLost) this.#drop(job)
      else if (this.#turnsAway(job)) this.release(job)
      else kept.push(job)
    }
    if (kept.length > 0) this.#parts.dispatcherOf(kept[0]!).addFirst(kept)
  }

  /**
   * A thread is blocked in native code, for nobody knows how long. What it has not begun goes elsewhere.
   * What it runs keeps its lease and waits for the thread's end, but takes up no more room, and no other
   * suspect waits for it: another thread is there for the jobs after it.
   */
  laneStuck(lane: Lane): void {
    this.takenBack(lane.jobs().filter((job) => lane.takeBack(job)))
    for (const job of lane.jobs()) {
      this.#leaveRoom(job)
      if (job.suspect) this.#parts.suspects.ended(job)
    }
  }

  /** What was posted to a thread that will never begin it. */
  takenBack(jobs: readonly InFlightJob[]): void {
    this.#requeue(jobs)
  }

  /** Gives a job back at once and uncharged: another supervisor, or the next one, starts it. */
  release(job: InFlightJob): void {
    this.#leaveRoom(job)
    this.#parts.gates.ended(job)
    void this.#parts.settlement.release(job, 0)
  }

  /** Takes a job out that has not begun, wherever it waits. False when it runs, or is being settled. */
  takeOut(job: InFlightJob): boolean {
    if (job.lane ? !job.lane.takeBack(job) : !this.#takeOut(job)) return false
    this.#leaveRoom(job)
    this.#parts.gates.ended(job)
    return true
  }

  /** The broker will give this delivery to somebody else. */
  leaseLost(job: InFlightJob): void {
    job.leaseLost = true
    this.#parts.observer.leaseLost(job)
    const { lane } = job
    if (lane) {
      if (lane.takeBack(job)) this.#drop(job)
      else if (job.abortCode === undefined) {
        job.abortCode = 'lease_lost'
        lane.abort(job, 'lease_lost')
      }
    } else if (this.#takeOut(job)) this.#drop(job)
  }

  /** Takes a job out of wherever it waits; false when it runs, or is being settled. */
  #takeOut(job: InFlightJob): boolean {
    const { gates, dispatcherOf, delayer } = this.#parts
    return gates.remove(job) || dispatcherOf(job).remove(job) || delayer.remove(job)
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

  /** Forgets a delivery that is not ours any more and had not begun: it must not count as an attempt. */
  #drop(job: InFlightJob): void {
    this.#leaveRoom(job)
    void this.#parts.settlement.abandon(job, false)
  }

  #takeRoom(job: InFlightJob): void {
    if (job.takesRoom) return
    job.takesRoom = true
    job.source.held += 1
  }

  #leaveRoom(job: InFlightJob): void {
    if (!job.takesRoom) return
    job.takesRoom = false
    job.source.held -= 1
    this.#parts.roomChanged(job.handler)
  }
}

function errorOf(outcome: Outcome, job: InFlightJob): AttemptError | undefined {
  if (outcome.kind === 'expired') return expiredError(job)
  return 'error' in outcome ? outcome.error : undefined
}
