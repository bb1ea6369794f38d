import { withRelease } from '../core/attempt.ts'
import { cancelledError } from '../core/outcome.ts'
import type { Admission, Admitted } from './admission.ts'
import type { ArrivalAge } from './arrival-age.ts'
import type { Broker, Delivery } from './broker-port.ts'
import type { Clock } from './clock-port.ts'
import type { Delayer } from './delayer.ts'
import type { Finished } from './finished.ts'
import type { Gates } from './gates.ts'
import type { HandlerState } from './handler-state.ts'
import type { InFlight } from './in-flight.ts'
import { InFlightJob } from './in-flight-job.ts'
import type { JobBeginning } from './job-beginning.ts'
import type { JobInterruption } from './job-interruption.ts'
import type { Marks } from './marks.ts'
import type { Observer } from './observer-port.ts'
import type { Settlement } from './settlement.ts'
import type { Suspects } from './suspects.ts'

/**
 * What was given back once comes to the pulls that are still open here, again and again; so the second time it is
 * given back until those have had time to end.
 */
const turnedAwayMs = 250

/** What a delivery meets at the door, and where it goes from there. */
export interface ArrivalParts {
  readonly broker: Broker
  readonly clock: Clock
  readonly observer: Observer
  readonly handlers: ReadonlyMap<string, HandlerState>
  readonly inFlight: InFlight
  readonly finished: Finished
  readonly admission: Admission
  readonly gates: Gates
  readonly marks: Marks
  readonly suspects: Suspects
  readonly delayer: Delayer
  readonly settlement: Settlement
  readonly beginning: JobBeginning
  readonly interruption: JobInterruption
  readonly arrivalAge: ArrivalAge
  readonly ackWaitMs: number
  /** Somebody has cancelled it. */
  isCancelled(job: InFlightJob): boolean
  /** Something arrived: look whether to pull. */
  roomChanged(handler: HandlerState): void
}

/**
 * A job comes in.
 *
 * 1. A delivery that we finished already is acked and not run; one that we hold is adopted: its lease is new. One
 *    that lay in our socket until its lease had run out is let go of. None of these counts as an attempt.
 * 2. Anything else is admitted. While its record is read, its place at the gates is kept.
 * 3. Cancelled, expired, unreadable, or out of attempts: it goes straight to its dead letter.
 * 4. The second job of a tick, or of a replay, is acked and not run.
 * 5. A job whose time has not come is put aside.
 * 6. The others go on to what they meet before they run.
 */
export class JobArrival {
  readonly #parts: ArrivalParts
  /** On the monotonic clock; when the piece was read that is gone through now. */
  #readAt: number | undefined

  constructor(parts: ArrivalParts) {
    this.#parts = parts
  }

  delivered(delivery: Delivery): void {
    const { broker, observer, finished, inFlight, handlers } = this.#parts
    const handler = handlers.get(delivery.handler)!
    const now = this.#now()
    const sentAfter = this.#parts.arrivalAge.sentAfter(now)
    const isStale = now - sentAfter >= this.#parts.ackWaitMs
    handler.sources[delivery.priority].arrived(delivery.pending, now)
    if (finished.has(delivery.stream, delivery.sequence, delivery.storedAt)) {
      broker.ack(delivery.reply)
      observer.duplicateSuppressed(delivery.handler)
      this.#parts.roomChanged(handler)
      return
    }
    const held = inFlight.find(delivery.stream, delivery.sequence)
    if (held?.storedAt === delivery.storedAt) {
      // That lease has run out on the way as well: somebody else may have the job by now.
      if (isStale) this.#cameAgain(held, delivery, true)
      else this.#adopt(held, delivery, sentAfter)
      this.#parts.roomChanged(handler)
      return
    }
    if (held) this.#parts.interruption.orphan(held)
    const job = new InFlightJob(delivery, handler, sentAfter)
    job.source.held += 1
    inFlight.add(job)
    if (isStale) {
      this.#parts.interruption.lateArrival(job)
      return
    }
    const admitted = this.#parts.admission.admit(job)
    if (admitted instanceof Promise) {
      this.#parts.gates.reserve(job)
      this.#parts.suspects.expect(admitted.then((late) => this.#admitLate(job, late)))
    } else this.#admit(job, admitted)
    this.#parts.roomChanged(handler)
  }

  /** The clock is read once for all that is in one piece of what the socket brought. */
  #now(): number {
    if (this.#readAt !== undefined) return this.#readAt
    queueMicrotask(() => {
      this.#readAt = undefined
    })
    this.#readAt = this.#parts.clock.monotonicMs()
    return this.#readAt
  }

  /** The broker gave us again what we hold: its lease had run out, and now it is ours anew. */
  #adopt(job: InFlightJob, delivery: Delivery, now: number): void {
    const wasElsewhere = delivery.deliveries !== job.deliveries + 1
    job.reply = delivery.reply
    job.arrivedAt = now
    job.renewed(now)
    job.leaseLost = false
    this.#cameAgain(job, delivery, wasElsewhere)
  }

  /** What is delivered again while we hold it does not count. */
  #cameAgain(job: InFlightJob, delivery: Delivery, mayBeElsewhere: boolean): void {
    // A broker that was killed counts the same delivery again.
    const isCounted = delivery.deliveries > job.deliveries
    job.deliveries = delivery.deliveries
    job.isAllOurs = false
    if (isCounted) {
      job.redeliveries += 1
      job.record = withRelease(job.record)
      this.#parts.marks.deliveredAgain(job, mayBeElsewhere)
    }
    this.#parts.observer.duplicateSuppressed(delivery.handler)
  }

  /** Its record was read meanwhile. */
  #admitLate(job: InFlightJob, admitted: Admitted): void {
    const { beginning, settlement, interruption } = this.#parts
    // A process that stood still gets answers before it looks after its leases.
    if (!job.leaseLost && !settlement.holdsLease(job)) interruption.leaseLost(job)
    if (job.leaseLost) beginning.drop(job)
    else this.#admit(job, admitted)
  }

  #admit(job: InFlightJob, admitted: Admitted): void {
    const { beginning, settlement, delayer } = this.#parts
    if (admitted.kind === 'gone') {
      this.#parts.observer.duplicateSuppressed(job.handler.profile.name)
      beginning.drop(job)
    } else if (admitted.kind === 'duplicate') {
      beginning.leaveRoom(job)
      settlement.duplicate(job)
    } else if (admitted.kind === 'dead') {
      beginning.leaveRoom(job)
      void settlement.deadLetter(job, admitted.reason, admitted.error, admitted.attempts)
    } else if (this.#parts.isCancelled(job)) {
      // While the record of its tick was being read.
      beginning.leaveRoom(job)
      void settlement.deadLetter(job, 'cancelled', cancelledError, job.attempt - 1)
    } else if (admitted.kind === 'not_yet') {
      beginning.leaveRoom(job)
      delayer.add(job, admitted.dueAt)
    } else if (beginning.turnsAway(job)) beginning.release(job, job.deliveries > 1 ? turnedAwayMs : 0)
    else if (admitted.kind === 'suspect') beginning.queueSuspect(job)
    else beginning.queue(job)
  }
}
