import { judgeTickJob, published } from '../core/ticks.ts'
import type { Admitted } from './admission.ts'
import type { Clock } from './clock-port.ts'
import type { InFlightJob } from './in-flight-job.ts'
import type { TickObserver, TickStore } from './ticks-port.ts'

/** Pause before the record is asked for again. */
const againMs = 250
/** So often the broker may refuse it while we are connected; then the job runs. */
const refusalLimit = 8

/** What a job's tick is. */
export interface JobTick {
  readonly schedule: string
  readonly instant: number
}

/**
 * Keeps a second job of the same tick from running.
 *
 * 1. A job that a schedule published is compared with the schedule's record before it may run.
 * 2. The first one of a tick that is still being published is written down as the tick's job: whoever would
 *    publish it again sees that.
 * 3. Any other job of that tick is a duplicate.
 *
 * While the broker is away the job waits, as long as its lease lasts. A broker that refuses to answer, or
 * has no record, does not hold it up: running twice is better than never.
 */
export class TickFence {
  readonly #store: TickStore
  readonly #clock: Clock
  readonly #observer: TickObserver

  constructor(store: TickStore, clock: Clock, observer: TickObserver) {
    this.#store = store
    this.#clock = clock
    this.#observer = observer
  }

  /** Never rejects. `admitted` is what becomes of the job if it is not a duplicate. */
  async admit(job: InFlightJob, tick: JobTick, admitted: Admitted | Promise<Admitted>): Promise<Admitted> {
    const [duplicate, otherwise] = await Promise.all([this.#isDuplicate(job, tick), admitted])
    if (!duplicate) return otherwise
    this.#observer.duplicate(tick.schedule)
    return { kind: 'duplicate' }
  }

  async #isDuplicate(job: InFlightJob, { schedule, instant }: JobTick): Promise<boolean> {
    let refusals = 0
    while (!job.leaseLost) {
      try {
        const { record, revision } = await this.#store.read(schedule)
        const verdict = judgeTickJob(record, instant, job.sequence)
        if (verdict !== 'first') return verdict === 'duplicate'
        const marked = await this.#store.write(schedule, published(record!, job.sequence), revision)
        if (marked !== undefined) return false
      } catch (error) {
        if (this.#store.connected) refusals += 1
        if (refusals === refusalLimit) {
          this.#observer.unavailable(schedule, error)
          return false
        }
        await new Promise<void>((resolve) => this.#clock.after(againMs, resolve))
      }
    }
    return false
  }
}
