import { MillraceError } from '../core/errors.ts'
import { encodeCompleted, encodeDead } from '../core/job-outcome.ts'
import type { AttemptError } from '../core/outcome.ts'
import type { DeadReason } from '../core/verdict.ts'
import type { Broker } from './broker-port.ts'
import type { Clock } from './clock-port.ts'
import type { InFlightJob } from './in-flight-job.ts'
import type { Observer } from './observer-port.ts'
import { Pauses } from './pauses.ts'

/** An outcome that was not stored is tried again after this, doubled each time up to the longest. */
const firstRetryMs = 100
const longestRetryMs = 2_000
/** While the broker answers, and refuses, so long; while it is away, for as long as it takes. */
const patienceMs = 15_000
/** At a stop, what is on its way to the broker may take so much longer. */
const lastMs = 400

/**
 * Keeps how jobs ended for whoever asks, for handlers with `result: true`.
 *
 * 1. The outcome is stored, and the server has said so, before the job is acked: who finds the job gone finds
 *    its result. Dying in between runs the job again, and its new outcome takes the old one's place.
 * 2. Meanwhile the job keeps its lease and takes up no room.
 * 3. A result that cannot be stored never costs a second run: after a while it is given up, and said so.
 */
export class Results {
  readonly #broker: Broker
  readonly #clock: Clock
  readonly #observer: Observer
  readonly #pauses: Pauses
  readonly #underWay = new Set<() => void>()
  #stopping = false

  constructor(broker: Broker, clock: Clock, observer: Observer) {
    this.#broker = broker
    this.#clock = clock
    this.#observer = observer
    this.#pauses = new Pauses(clock)
  }

  /** Resolves when the outcome of a completed job is stored, or given up. */
  async completed(job: InFlightJob): Promise<void> {
    const { returned } = job
    if (returned?.kind === 'unusable') this.#observer.resultUnusable(job, returned.error)
    await this.#keep(job, encodeCompleted(this.#facts(job), returned))
  }

  /** Resolves when the outcome of a job that has its dead letter is stored, or given up. */
  async dead(job: InFlightJob, reason: DeadReason, error: AttemptError | undefined): Promise<void> {
    await this.#keep(job, encodeDead(this.#facts(job), reason, error))
  }

  /** From now on an outcome that cannot be stored at once is given up. */
  stop(): void {
    this.#stopping = true
    this.#pauses.end()
    if (this.#underWay.size === 0) return
    this.#clock.after(lastMs, () => {
      for (const cut of this.#underWay) cut()
    })
  }

  #facts(job: InFlightJob) {
    const { jobId, attempt } = job
    return { jobId, handler: job.handler.profile.name, attempts: attempt, at: this.#clock.now() }
  }

  async #keep(job: InFlightJob, entry: string): Promise<void> {
    const giveUpAt = this.#clock.monotonicMs() + patienceMs
    for (let waitMs = firstRetryMs; ; waitMs = Math.min(longestRetryMs, waitMs * 2)) {
      try {
        await this.#store(job, entry)
        return
      } catch (error) {
        // While the broker is away the job cannot be acked either, so waiting costs nothing.
        const patient = !this.#broker.connected || this.#clock.monotonicMs() < giveUpAt
        if (this.#stopping || !patient || isHopeless(error)) {
          this.#observer.resultLost(job, error)
          return
        }
        await this.#pauses.for(waitMs)
      }
    }
  }

  #store(job: InFlightJob, entry: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const cut = (): void =>
        reject(
          new MillraceError('broker_request_failed', 'the supervisor stopped before the result was stored'),
        )
      this.#underWay.add(cut)
      this.#broker
        .storeOutcome(job.jobId, entry)
        .then(resolve, reject)
        .finally(() => this.#underWay.delete(cut))
    })
  }
}

/** No other try can end otherwise. */
function isHopeless(error: unknown): boolean {
  return error instanceof MillraceError && error.code === 'invalid_job'
}
