import { mergeRecords } from '../core/attempt.ts'
import type { Broker } from './broker-port.ts'
import type { InFlightJob } from './in-flight-job.ts'
import type { Observer } from './observer-port.ts'

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
      // Its place in the stream may be another job's by now.
      if (job.orphaned) return false
      await this.#broker.writeRecord(job.stream, job.sequence, job.record)
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
    if (stored) job.record = mergeRecords(stored, job.record)
  }
}
