import { withRelease, withRepeat } from '../core/attempt.ts'
import type { Broker } from './broker-port.ts'
import type { InFlightJob } from './in-flight-job.ts'
import type { Observer } from './observer-port.ts'

/**
 * Says in the records of jobs that wait that their delivery does not count, so that a crash of the process
 * charges only those that were running; and takes it back before their own turn.
 */
export class Marks {
  readonly #broker: Broker
  readonly #observer: Observer
  readonly #storing = new Set<Promise<unknown>>()

  constructor(broker: Broker, observer: Observer) {
    this.#broker = broker
    this.#observer = observer
  }

  mark(job: InFlightJob): void {
    // Without what is stored a mark would replace it.
    if (job.isMarked || job.recordUnread) return
    job.isMarked = true
    this.#store(job)
  }

  /** The broker has delivered it once more while it waits, and has given it to nobody else since. */
  deliveredAgain(job: InFlightJob): void {
    if (job.isMarked) this.#store(job)
  }

  #store(job: InFlightJob): void {
    const stored = this.#write(job, true)
    this.#storing.add(stored)
    void stored.finally(() => this.#storing.delete(stored))
  }

  /** Resolves when every mark is stored. */
  async stored(): Promise<void> {
    while (this.#storing.size > 0) await Promise.all(this.#storing)
  }

  /** Resolves when the record says what is so if the job begins now. */
  async clear(job: InFlightJob): Promise<void> {
    job.isMarked = false
    if (job.hasRecord && !job.recordUnread) await this.#write(job, false)
  }

  /** Like `clear`, for the next attempt of a job that kept its delivery since the last one. */
  async clearForRepeat(job: InFlightJob): Promise<void> {
    const record = withRepeat(job.record)
    try {
      if (!job.recordUnread) await this.#broker.writeRecord(job.stream, job.sequence, record)
    } catch (error) {
      this.#observer.recordUnavailable(error)
    }
    // Given back meanwhile, it has not begun.
    if (!job.betweenAttempts || !job.waitsAt) return
    job.record = record
    job.betweenAttempts = false
  }

  async #write(job: InFlightJob, waiting: boolean): Promise<void> {
    job.hasRecord = true
    try {
      await this.#broker.writeRecord(job.stream, job.sequence, waiting ? withRelease(job.record) : job.record)
    } catch (error) {
      this.#observer.recordUnavailable(error)
    }
  }
}
