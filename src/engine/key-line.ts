import type { InFlightJob } from './in-flight-job.ts'

const none: readonly InFlightJob[] = []

/**
 * The jobs of one key that we hold: one that has its turn, and those behind it in order of publication. A list
 * is made only when somebody waits.
 */
export class KeyLine {
  /** Begun, or about to: nobody else of this key may. */
  active: InFlightJob | undefined
  #waiting: InFlightJob[] | undefined

  get waiting(): readonly InFlightJob[] {
    return this.#waiting ?? none
  }

  get isEmpty(): boolean {
    return !this.active && this.waiting.length === 0
  }

  /** Does nothing when it has its place already. */
  add(job: InFlightJob): void {
    if (this.active === job || this.#waiting?.includes(job)) return
    this.#waiting ??= []
    let at = this.#waiting.length
    while (at > 0 && isBefore(job, this.#waiting[at - 1]!)) at -= 1
    this.#waiting.splice(at, 0, job)
  }

  /** Takes a job out, wherever it is. */
  remove(job: InFlightJob): void {
    if (this.active === job) this.active = undefined
    const at = this.#waiting?.indexOf(job) ?? -1
    if (at >= 0) this.#waiting!.splice(at, 1)
  }
}

/** In order of publication; of two streams, that of the more urgent jobs comes first. */
export function isBefore(one: InFlightJob, other: InFlightJob): boolean {
  if (one.stream === other.stream) return one.sequence < other.sequence
  return urgency(one.stream) < urgency(other.stream)
}

function urgency(stream: string): number {
  if (stream.endsWith('_HIGH')) return 0
  return stream.endsWith('_LOW') ? 2 : 1
}
