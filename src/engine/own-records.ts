import { type AttemptRecord, countAttempt } from '../core/attempt.ts'
import type { InFlightJob } from './in-flight-job.ts'

/** Of those that waited longest for their next attempt the record is read instead. */
const defaultLimit = 4_096
/** With more attempts than this in it, too: records grow, and are kept for jobs that others get as well. */
const mostEntries = 2

interface OwnRecord {
  readonly storedAt: number
  readonly deliveries: number
  readonly record: AttemptRecord
}

/**
 * The records that this process wrote when it gave jobs back for another attempt, of which it has had every delivery.
 *
 * When the very next delivery of such a job comes here, too, nobody else can have had it in between, nor have
 * anything to add: what was written is what a read would find, and saves it. That is known by the broker's count of
 * deliveries, so nothing is kept beyond anything that may make it count some of them again: a new connection, a
 * consumer that was deleted, a pull that was refused or not answered.
 */
export class OwnRecords {
  readonly #limit: number
  readonly #records = new Map<string, OwnRecord>()

  /** @param limit - so many are kept. */
  constructor(limit = defaultLimit) {
    this.#limit = limit
  }

  /** The record of a job that is now given back is stored. */
  stored(job: InFlightJob): void {
    if (!job.isAllOurs || job.record.history.length > mostEntries) return
    const { storedAt, deliveries, record } = job
    this.#records.set(placeOf(job), { storedAt, deliveries, record })
    if (this.#records.size > this.#limit) this.#records.delete(this.#records.keys().next().value!)
  }

  /** What a read of its record would find; undefined when it has to be read. */
  take(job: InFlightJob): AttemptRecord | undefined {
    const place = placeOf(job)
    const own = this.#records.get(place)
    if (!own) return undefined
    this.#records.delete(place)
    const isNext = own.storedAt === job.storedAt && own.deliveries + 1 === job.deliveries
    return isNext && countAttempt(job.deliveries, own.record).unexplained === 0 ? own.record : undefined
  }

  clear(): void {
    this.#records.clear()
  }
}

function placeOf({ stream, sequence }: InFlightJob): string {
  return `${stream}.${sequence}`
}
