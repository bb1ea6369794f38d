import type { Clock } from './clock-port.ts'
import type { InFlightJob } from './in-flight-job.ts'
import type { Lane } from './lanes-port.ts'

/** How soon after a job was posted it is looked whether it runs. */
const startSaidMs = 20

/** A thread that runs no job has to begin one, or tell how one ended, within this; it may get no processor for seconds. */
const silentMs = 10_000

/**
 * Looks at jobs that were posted until they have begun.
 *
 * 1. A job that runs for long says that it began before it says how it ended.
 * 2. A thread that runs none and begins none is blocked by what a finished job left behind.
 */
export class StartWatch {
  readonly #clock: Clock
  readonly #hooks: {
    lanes(): Iterable<Lane>
    sayStarted(job: InFlightJob, threadId: number, startedAt: number): void
    silent(lane: Lane): void
  }
  #watching = false

  constructor(
    clock: Clock,
    hooks: {
      lanes(): Iterable<Lane>
      /** Called again and again while the job runs. */
      sayStarted(job: InFlightJob, threadId: number, startedAt: number): void
      /** A thread has jobs, runs none of them, and has said nothing for 10 s. */
      silent(lane: Lane): void
    },
  ) {
    this.#clock = clock
    this.#hooks = hooks
  }

  /** Jobs were posted: looks until none is left that has not begun. */
  watch(): void {
    if (this.#watching) return
    this.#watching = true
    this.#clock.after(startSaidMs, () => {
      this.#watching = false
      let unsaid = false
      for (const lane of this.#hooks.lanes()) if (this.#look(lane)) unsaid = true
      if (unsaid) this.watch()
    })
  }

  /** True when something on it has not begun, or is done and not told of. */
  #look(lane: Lane): boolean {
    let [runs, waits] = [false, false]
    for (const job of lane.jobs()) {
      const startedAt = lane.startedAt(job)
      if (startedAt === undefined) waits = true
      else {
        runs = true
        this.#hooks.sayStarted(job, lane.threadId, startedAt)
      }
    }
    const isSilent = waits && !runs && this.#clock.monotonicMs() - lane.lastProgressAt >= silentMs
    if (isSilent && lane.endReason === undefined) this.#hooks.silent(lane)
    return waits
  }
}
