import { type AttemptRecord, mergeRecords } from '../core/attempt.ts'
import type { Broker } from './broker-port.ts'
import type { InFlightJob } from './in-flight-job.ts'
import type { Observer } from './observer-port.ts'

/**
 * Stores this as the record of a job. It counts as stored from now on: what is written later comes behind it.
 *
 * @throws Error when it is not known to be stored. It may be: then more releases are taken for stored than may be, because
 * a release too many would give the job an attempt that it must not have.
 */
export async function storeRecord(broker: Broker, job: InFlightJob, record: AttemptRecord): Promise<void> {
  const before = job.storedReleases
  job.storedReleases = record.released
  try {
    await broker.writeRecord(job.stream, job.sequence, record)
  } catch (error) {
    job.storedReleases = Math.max(job.storedReleases, before)
    throw error
  }
}

/** Writes what has become of jobs to their records, which whoever gets them next reads. */
export class JobRecords {
  readonly #broker: Broker
  readonly #observer: Observer

  constructor(broker: Broker, observer: Observer) {
    this.#broker = broker
    this.#observer = observer
  }

  /** False when it could not be stored. */
  async write(job: InFlightJob): Promise<boolean> {
    job.hasRecord = true
    try {
      if (job.recordUnread) await this.#readLate(job)
      // Again, if it came again meanwhile.
      do {
        // Its place in the stream may be another job's by now.
        if (job.orphaned) return false
        await storeRecord(this.#broker, job, job.record)
      } while (job.record.released > job.storedReleases)
      return true
    } catch (error) {
      this.#observer.recordUnavailable(error)
      return false
    }
  }

  /** Else the record of earlier deliveries would be replaced, and every one of them count as a crash. */
  async #readLate(job: InFlightJob): Promise<void> {
    const stored = await this.#broker.readRecord(job.stream, job.sequence)
    job.recordUnread = false
    if (!stored) return
    job.storedReleases = stored.released
    job.record = mergeRecords(stored, job.record)
  }
}
