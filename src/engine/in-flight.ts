import type { InFlightJob } from './in-flight-job.ts'

/** Every delivery that we hold, by its place in the job stream. */
export class InFlight {
  readonly #jobs = new Map<number, InFlightJob>()
  readonly #removed: (job: InFlightJob) => void

  /** @param removed - told of each delivery that is not ours any more. */
  constructor(removed: (job: InFlightJob) => void = () => {}) {
    this.#removed = removed
  }

  get size(): number {
    return this.#jobs.size
  }

  find(sequence: number): InFlightJob | undefined {
    return this.#jobs.get(sequence)
  }

  add(job: InFlightJob): void {
    this.#jobs.set(job.sequence, job)
  }

  remove(job: InFlightJob): void {
    if (this.#jobs.get(job.sequence) === job) this.#jobs.delete(job.sequence)
    this.#removed(job)
  }

  all(): IterableIterator<InFlightJob> {
    return this.#jobs.values()
  }
}
