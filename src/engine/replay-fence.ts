import type { DeadLetterPlace } from '../core/replay.ts'
import type { Admitted } from './admission.ts'
import type { Broker } from './broker-port.ts'
import type { Clock } from './clock-port.ts'
import type { InFlightJob } from './in-flight-job.ts'
import type { Observer } from './observer-port.ts'

/** Pause before the claim is tried again. */
const againMs = 500
/** So often the broker may refuse it while we are connected; then the job runs. An election takes a few seconds. */
const refusalLimit = 24

/**
 * Keeps a second job of the same replay from running.
 *
 * 1. A replay publishes the job, and then deletes the dead letter. Whoever dies in between leaves the dead letter
 *    behind, and the next replay publishes a second job; the message id keeps that out of the stream only within
 *    the duplicate window, and not when the first job is settled and the broker was started again.
 * 2. So the first job of a dead letter that arrives at any supervisor is written down, by compare-and-swap, before
 *    it may run, move on or die. Any other job of that dead letter is a duplicate.
 *
 * While the broker is away the job waits, as long as its lease lasts. A broker that refuses to answer does not
 * hold it up for ever: running twice is better than never.
 */
export class ReplayFence {
  readonly #broker: Broker
  readonly #clock: Clock
  readonly #observer: Observer

  constructor(broker: Broker, clock: Clock, observer: Observer) {
    this.#broker = broker
    this.#clock = clock
    this.#observer = observer
  }

  /** Never rejects. `admitted` is what becomes of the job if it is not a duplicate. */
  async admit(
    job: InFlightJob,
    letter: DeadLetterPlace,
    admitted: Admitted | Promise<Admitted>,
  ): Promise<Admitted> {
    const [isFirst, otherwise] = await Promise.all([this.#isFirst(job, letter), admitted])
    if (isFirst) return otherwise
    this.#observer.duplicateSuppressed(job.handler.profile.name)
    return { kind: 'duplicate' }
  }

  async #isFirst(job: InFlightJob, letter: DeadLetterPlace): Promise<boolean> {
    let refusals = 0
    while (!job.leaseLost) {
      try {
        return await this.#broker.claimReplay(letter, job)
      } catch (error) {
        if (this.#broker.connected) refusals += 1
        this.#observer.recordUnavailable(error)
        if (refusals === refusalLimit) return true
        await new Promise<void>((resolve) => this.#clock.after(againMs, resolve))
      }
    }
    return true
  }
}
