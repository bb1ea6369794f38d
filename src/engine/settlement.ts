import { withFailure, withRelease } from '../core/attempt.ts'
import type { HistoryEntry } from '../core/history.ts'
import type { AttemptError } from '../core/outcome.ts'
import type { DeadReason } from '../core/verdict.ts'
import type { Broker } from './broker-port.ts'
import { Bursts } from './bursts.ts'
import type { Cancels } from './cancels.ts'
import type { Clock } from './clock-port.ts'
import { DeadLettering } from './dead-lettering.ts'
import type { Finished } from './finished.ts'
import type { InFlight } from './in-flight.ts'
import type { InFlightJob } from './in-flight-job.ts'
import { JobRecords } from './job-records.ts'
import type { Observer } from './observer-port.ts'
import type { OwnRecords } from './own-records.ts'
import { Pauses } from './pauses.ts'
import type { Receipts } from './receipts.ts'
import { Results } from './results.ts'
import { SettledRecords } from './settled-records.ts'

/** A record without which a release would count is written so often, with this pause. */
const releaseTries = 8
const releaseAgainMs = 500

/**
 * Carries out verdicts: each delivery is settled exactly once.
 *
 * 1. `ack`: acked, and remembered as finished; `complete` keeps the handler's result first, if it has one.
 * 2. `retry`: the attempt is written to its record, then the delivery is given back with a delay.
 * 3. `deadLetter`: the dead letter is stored and confirmed, then the delivery is acked. Dying in between leaves the
 *    job in both places, and the dead letter's id lets the next supervisor see that; the other order could leave it
 *    in neither.
 * 4. `release`: the record says that this delivery does not count, then it is given back. What was given back without
 *    that record again and again would be out of attempts without having run.
 * 5. `moved`: the delayed stream has the job, so its delivery is acked. A cancel waits for it there.
 * 6. `hold`: the attempt is written to its record, and the delivery stays ours for the next attempt.
 *
 * Until then the job stays in flight, so its lease is renewed. Nothing is given back whose lease was
 * lost: the broker would hand it out a third time.
 */
export class Settlement {
  readonly #broker: Broker
  readonly #clock: Clock
  readonly #observer: Observer
  readonly #inFlight: InFlight
  readonly #finished: Finished
  readonly #receipts: Receipts
  readonly #bursts: Bursts
  readonly #results: Results
  readonly #records: JobRecords
  readonly #ownRecords: OwnRecords
  readonly #settledRecords: SettledRecords
  readonly #deadLetters: DeadLettering
  readonly #pauses: Pauses
  readonly #ackWaitMs: number
  readonly #cancels: Pick<Cancels, 'settled'> | undefined
  readonly #abandoning = new Set<Promise<void>>()
  #stopping = false

  constructor(parts: {
    broker: Broker
    clock: Clock
    observer: Observer
    inFlight: InFlight
    finished: Finished
    receipts: Receipts
    ownRecords: OwnRecords
    ackWaitMs: number
    cancels?: Pick<Cancels, 'settled'> | undefined
  }) {
    const { broker, clock, observer, cancels } = parts
    this.#broker = broker
    this.#clock = clock
    this.#observer = observer
    this.#inFlight = parts.inFlight
    this.#finished = parts.finished
    this.#receipts = parts.receipts
    this.#ownRecords = parts.ownRecords
    this.#ackWaitMs = parts.ackWaitMs
    this.#cancels = cancels
    this.#bursts = new Bursts(clock)
    this.#results = new Results(broker, clock, observer)
    this.#records = new JobRecords(broker, observer)
    this.#settledRecords = new SettledRecords(broker, clock, parts.ackWaitMs)
    this.#deadLetters = new DeadLettering({ broker, clock, observer, records: this.#records, cancels })
    this.#pauses = new Pauses(clock)
  }

  ack(job: InFlightJob): void {
    this.#cancelIsOver(job)
    this.#acked(job)
    this.#observer.settled(job, 'ack')
  }

  /** Another job stands for its tick or its replay, under the same id: a cancel is that one's. */
  duplicate(job: InFlightJob): void {
    this.#acked(job)
    this.#observer.settled(job, 'ack')
  }

  /** The handler returned. */
  complete(job: InFlightJob): void {
    if (job.handler.profile.result) void this.#results.completed(job).then(() => this.ack(job))
    else this.ack(job)
  }

  async retry(job: InFlightJob, delayMs: number, entry: HistoryEntry): Promise<void> {
    job.record = { ...withFailure(job.record, entry), dueAt: this.#clock.now() + delayMs }
    if (await this.#records.write(job)) this.#ownRecords.stored(job)
    this.#bursts.add(() => this.#giveBack(job, delayMs))
    this.#observer.settled(job, 'retry')
  }

  async release(job: InFlightJob, delayMs: number): Promise<void> {
    if (!job.betweenAttempts) job.record = withRelease(job.record)
    if (delayMs > 0) job.record = { ...job.record, dueAt: this.#clock.now() + delayMs }
    await this.#insist(job)
    if (delayMs > 0) this.#bursts.add(() => this.#giveBack(job, delayMs))
    else this.#giveBack(job, 0)
    this.#observer.settled(job, 'release')
  }

  moved(job: InFlightJob): void {
    this.#acked(job)
    this.#observer.settled(job, 'release')
  }

  /**
   * A retry, or without an entry a release, that keeps the job's place. Whoever has the job next, should we
   * have to give it back, or die, reads in the record when it may begin.
   */
  async hold(job: InFlightJob, delayMs: number, entry: HistoryEntry | undefined): Promise<void> {
    const record = entry ? withFailure(job.record, entry) : withRelease(job.record)
    job.record = { ...record, notBefore: this.#clock.now() + delayMs }
    job.betweenAttempts = true
    await this.#records.write(job)
    this.#observer.settled(job, entry ? 'retry' : 'release')
  }

  /** `attempts` is how many ran; 0 for a job that never did. */
  async deadLetter(
    job: InFlightJob,
    reason: DeadReason,
    error: AttemptError | undefined,
    attempts: number,
  ): Promise<void> {
    // From here on everything that is said about the job says what ran, which may be nothing.
    job.attempt = attempts
    if (!(await this.#deadLetters.store(job, reason, error))) {
      this.#giveBack(job, 0)
      return
    }
    if (job.handler.profile.result) await this.#results.dead(job, reason, error)
    this.#cancelIsOver(job)
    this.#acked(job)
    this.#observer.settled(job, 'dead_letter')
    this.#observer.deadLettered(job, reason, error)
  }

  /**
   * Lets go of a delivery that is no longer ours, without telling the broker anything. What does not count is written
   * to its record: this delivery, unless an attempt began under it, and those that came again while we held it. Who has
   * the job already, and has read the record, does not know that.
   */
  async abandon(job: InFlightJob, counted: boolean): Promise<void> {
    job.leaseLost = true
    this.#inFlight.remove(job)
    // The mark is for those as well.
    if (job.orphaned || job.isMarked) return
    const releases = job.record.released + (counted || job.betweenAttempts ? 0 : 1) - job.storedReleases
    if (releases <= 0) return
    const written = this.#broker
      .releaseRecord(job.stream, job.sequence, releases)
      .catch((error: unknown) => this.#observer.recordUnavailable(error))
    this.#abandoning.add(written)
    await written
    this.#abandoning.delete(written)
  }

  /** Resolves when the records of settled jobs are gone, as far as they are to go. */
  recordsRemoved(): Promise<void> {
    return this.#settledRecords.removed()
  }

  /** Resolves when it is on record, or cannot be put there, that what was let go of did not count. */
  async abandoned(): Promise<void> {
    await Promise.all(this.#abandoning)
  }

  /** From now on a refused dead letter gives its job back instead of trying again. */
  stop(): void {
    this.#stopping = true
    this.#bursts.flush()
    this.#results.stop()
    this.#settledRecords.stop()
    this.#deadLetters.stop()
    this.#pauses.end()
  }

  /** Forgets what belongs to a stream that is gone. */
  forget(stream: string): void {
    this.#receipts.forget(stream)
    this.#settledRecords.forget(stream)
  }

  /** Whether we still hold the lease, as far as we can know. */
  holdsLease(job: InFlightJob): boolean {
    return !job.leaseLost && this.#clock.monotonicMs() - job.renewedAt < this.#ackWaitMs
  }

  #cancelIsOver(job: InFlightJob): void {
    if (!job.orphaned) void this.#cancels?.settled(job)
  }

  #acked(job: InFlightJob): void {
    job.acked = true
    this.#inFlight.remove(job)
    if (job.orphaned) return
    this.#finished.add(job.stream, job.sequence, job.storedAt)
    this.#receipts.ack(job.reply, job.handler.profile.name, job.stream)
    if (job.hasRecord) this.#settledRecords.acked(job.stream, job.sequence, job.record.dead !== undefined)
  }

  #giveBack(job: InFlightJob, delayMs: number): void {
    if (this.holdsLease(job)) {
      this.#receipts.nak(job.reply, delayMs, job.renewedAt + this.#ackWaitMs, job.stream)
    } else job.leaseLost = true
    this.#inFlight.remove(job)
  }

  /** Writes what keeps a delivery from counting, for some seconds if it has to. */
  async #insist(job: InFlightJob): Promise<void> {
    for (let triesLeft = releaseTries; !(await this.#records.write(job)); triesLeft -= 1) {
      if (triesLeft === 1 || this.#stopping || !this.holdsLease(job)) return
      await this.#pauses.for(releaseAgainMs)
    }
  }
}
