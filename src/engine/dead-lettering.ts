import { type DeadLetter, deadLetterHeaders } from '../core/dead-letter.ts'
import type { AttemptError } from '../core/outcome.ts'
import type { DeadReason } from '../core/verdict.ts'
import type { Broker } from './broker-port.ts'
import type { Cancels } from './cancels.ts'
import type { Clock } from './clock-port.ts'
import type { InFlightJob } from './in-flight-job.ts'
import type { JobRecords } from './job-records.ts'
import type { Observer } from './observer-port.ts'
import { Pauses } from './pauses.ts'

/** A dead letter that was refused is tried again after this, doubled each time up to the longest. */
const firstRetryMs = 200
const longestRetryMs = 5_000

/**
 * Stores the dead letters of jobs, each as often as it takes.
 *
 * 1. The decision is written to the job's record, so that whoever gets the job next does not run it.
 * 2. The dead letter is stored, and the broker has said so. Its id keeps a second one out for as long as the broker
 *    remembers it.
 * 3. While the letter is refused, a decision that is not on record is tried again as well: else whoever gets the job
 *    next might run it for so long that the broker has forgotten this letter.
 */
export class DeadLettering {
  readonly #broker: Broker
  readonly #clock: Clock
  readonly #observer: Observer
  readonly #records: JobRecords
  readonly #cancels: Pick<Cancels, 'settled'> | undefined
  readonly #pauses: Pauses
  #stopping = false

  constructor(parts: {
    broker: Broker
    clock: Clock
    observer: Observer
    records: JobRecords
    cancels?: Pick<Cancels, 'settled'> | undefined
  }) {
    this.#broker = parts.broker
    this.#clock = parts.clock
    this.#observer = parts.observer
    this.#records = parts.records
    this.#cancels = parts.cancels
    this.#pauses = new Pauses(parts.clock)
  }

  /** False when we are to stop and it was not stored: the record tells whoever gets the job that it is missing. */
  async store(job: InFlightJob, reason: DeadReason, error: AttemptError | undefined): Promise<boolean> {
    const { attempt: attempts, record } = job
    job.record = {
      ...record,
      dead: { reason, attempts, ...(error ? { error: { code: error.code, message: error.message } } : {}) },
    }
    let isOnRecord = await this.#decide(job)
    let isWriting = false
    const decideAgain = async (): Promise<void> => {
      if (isOnRecord || isWriting || job.orphaned) return
      isWriting = true
      isOnRecord = await this.#decide(job)
      isWriting = false
    }
    for (let waitMs = firstRetryMs; ; waitMs = Math.min(longestRetryMs, waitMs * 2)) {
      try {
        const letter = this.#letterOf(job, reason, error)
        const wanted = deadLetterHeaders(letter, job.headerEntries ?? [])
        await this.#broker.publishDeadLetter(letter, wanted, job.data)
        return true
      } catch (refusal) {
        this.#observer.deadLetterRefused(job, refusal)
        if (this.#stopping) return false
        void decideAgain()
        await this.#pauses.for(waitMs)
      }
    }
  }

  /** From now on a letter that is refused is not tried again. */
  stop(): void {
    this.#stopping = true
    this.#pauses.end()
  }

  /**
   * Puts on record what becomes of a job; false when that cannot be stored. A cancel has done its work then. It goes
   * before the dead letter can be read: a replay of that must not meet it.
   */
  async #decide(job: InFlightJob): Promise<boolean> {
    const isOnRecord = await this.#records.write(job)
    if (isOnRecord) await this.#cancels?.settled(job)
    return isOnRecord
  }

  #letterOf(job: InFlightJob, reason: DeadReason, error: AttemptError | undefined): DeadLetter {
    return {
      handler: job.handler.profile.name,
      reason,
      jobId: job.jobId,
      subject: job.subject,
      stream: job.stream,
      sequence: job.sequence,
      attempts: job.attempt,
      deliveries: job.deliveries,
      enqueuedAt: job.enqueuedAt,
      deadAt: this.#clock.now(),
      error,
      history: job.record.history,
      headersUnread: job.headersUnread,
    }
  }
}
