import type { Clock } from './clock-port.ts'
import type { Lane } from './lanes-port.ts'

const lookMs = 1_000
/** A look that comes so much too late says nothing of the threads: this process stood still. */
const lateMs = 1_000
/** A thread that runs no job has to begin one, or tell how one ended, within this; it may get no processor for seconds. */
const silentMs = 10_000

/** What a look found. */
interface Silence {
  readonly since: number
  readonly lastProgressAt: number
}

/**
 * Finds the threads that are blocked by what a finished job left behind: they have jobs, run none of them, begin none,
 * and tell nothing. The deadline of a job ends none of that, because none runs.
 *
 * It looks every second while jobs are on any thread. A thread counts as silent from the first look that finds it so.
 */
export class SilenceWatch {
  readonly #clock: Clock
  readonly #lanes: () => Iterable<Lane>
  readonly #silent: (lane: Lane) => void
  readonly #silences = new Map<Lane, Silence>()
  #watching = false

  /** @param silent - this thread has been silent for 10 s; told again every second until it is not. */
  constructor(clock: Clock, lanes: () => Iterable<Lane>, silent: (lane: Lane) => void) {
    this.#clock = clock
    this.#lanes = lanes
    this.#silent = silent
  }

  /** Jobs were posted. */
  watch(): void {
    if (this.#watching) return
    this.#watching = true
    const dueAt = this.#clock.monotonicMs() + lookMs
    this.#clock.after(lookMs, () => {
      this.#watching = false
      if (this.#clock.monotonicMs() - dueAt >= lateMs) this.#silences.clear()
      this.#look()
    })
  }

  #look(): void {
    const now = this.#clock.monotonicMs()
    const known = new Map(this.#silences)
    this.#silences.clear()
    for (const lane of [...this.#lanes()]) {
      if (lane.outstanding === 0) continue
      this.watch()
      if (lane.endReason !== undefined) continue
      lane.collect()
      if (lane.outstanding === 0 || lane.jobs().some((job) => lane.startedAt(job) !== undefined)) continue
      const { lastProgressAt } = lane
      const before = known.get(lane)
      const since = before?.lastProgressAt === lastProgressAt ? before.since : now
      this.#silences.set(lane, { since, lastProgressAt })
      if (now - since >= silentMs) this.#silent(lane)
    }
  }
}
