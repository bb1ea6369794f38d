import type { Clock } from './clock-port.ts'
import type { InFlightJob } from './in-flight-job.ts'
import type { Lane } from './lanes-port.ts'

/** How soon after a job was posted it is looked whether it runs. */
const startSaidMs = 20

/** Sees to it that a job that runs for long says that it began before it says how it ended. */
export class StartWatch {
  readonly #clock: Clock
  readonly #hooks: {
    lanes(): Iterable<Lane>
    sayStarted(job: InFlightJob, threadId: number, startedAt: number): void
  }
  #watching = false

  constructor(
    clock: Clock,
    hooks: {
      lanes(): Iterable<Lane>
      /** Called again and again while the job runs. */
      sayStarted(job: InFlightJob, threadId: number, startedAt: number): void
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
      for (const lane of this.#hooks.lanes()) {
        for (const job of lane.jobs()) {
          const startedAt = lane.startedAt(job)
          if (startedAt !== undefined) this.#hooks.sayStarted(job, lane.threadId, startedAt)
          else unsaid = true
        }
      }
      if (unsaid) this.watch()
    })
  }
}
