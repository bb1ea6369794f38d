import { withRelease, withRepeat } from '../core/attempt.ts'
import type { Broker } from './broker-port.ts'
import type { InFlightJob } from './in-flight-job.ts'
import { storeRecord } from './job-records.ts'
import type { Observer } from './observer-port.ts'

/**
 * Says in the records of jobs that wait that their delivery does not count, so that a crash of the process
 * charges only those that were running; and takes it back before their own turn.
 */
export class Marks {
  readonly #broker: Broker
  readonly #observer: Observer
  readonly #underWay = new Set<Promise<unknown>>()

  constructor(broker: Broker, observer: Observer) {
    this.#broker = broker
    this.#observer = observer
  }

  mark(job: InFlightJob): void {
    // Without what is stored a mark would replace it.
    if (job.isMarked || job.recordUnread) return
    job.isMarked = true
    this.#storing(this.#write(job, true))
  }

  /**
   * The broker has delivered it once more while it waits.
   *
   * @param mayBeElsewhere - somebody else has had it in between, or has it: what stands in its record is theirs as well.
   */
  deliveredAgain(job: InFlightJob, mayBeElsewhere: boolean): void {
    if (!job.isMarked) return
    this.#storing(mayBeElsewhere ? this.#release(job) : this.#write(job, true))
  }

  #storing(stored: Promise<void>): void {
    this.#underWay.add(stored)
    void stored.finally(() => this.#underWay.delete(stored))
  }

  /** Resolves when every mark is stored. */
  async stored(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay)
  }

  /** Resolves when the record says what is so if the job begins now. */
  async clear(job: InFlightJob): Promise<void> {
    job.isMarked = false
    if (job.hasRecord && !job.recordUnread) await this.#write(job, false)
  }

  /** Like `clear`, for the next attempt of a job that kept its delivery since the last one. */
  async clearForRepeat(job: InFlightJob): Promise<void> {
    try {
      if (!job.recordUnread) {
        await storeRecord(this.#broker, job, withRepeat(job.record))
        // Lost meanwhile, it has not begun.
        if (job.betweenAttempts && job.leaseLost) await this.#release(job)
      }
    } catch (error) {
      this.#observer.recordUnavailable(error)
    }
    // Given back meanwhile, it has not begun either, and its record is written once more.
    if (!job.betweenAttempts || !job.waitsAt) return
    job.record = withRepeat(job.record)
    job.betweenAttempts = false
  }

  async #write(job: InFlightJob, waiting: boolean): Promise<void> {
    job.hasRecord = true
    try {
      await storeRecord(this.#broker, job, waiting ? withRelease(job.record) : job.record)
    } catch (error) {
      this.#observer.recordUnavailable(error)
    }
  }

  async #release(job: InFlightJob): Promise<void> {
    try {
      job.storedReleases += 1
      await this.#broker.releaseRecord(job.stream, job.sequence, 1)
    } catch (error) {
      this.#observer.recordUnavailable(error)
    }
  }
}
