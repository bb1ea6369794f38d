import type { InFlightJob } from './in-flight-job.ts'

/** Every delivery that we hold, by its place in the job stream. */
export class InFlight {
  readonly #jobs = new Map<number, InFlightJob>()
  #emptied: (() => void)[] = []

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
    if (this.#jobs.get(job.sequence) !== job) return
    this.#jobs.delete(job.sequence)
    if (this.#jobs.size > 0 || this.#emptied.length === 0) return
    const waiting = this.#emptied
    this.#emptied = []
    for (const resolve of waiting) resolve()
  }

  all(): IterableIterator<InFlightJob> {
    return this.#jobs.values()
  }

  /** Resolves when nothing is held. */
  empty(): Promise<void> {
    if (this.#jobs.size === 0) return Promise.resolve()
    return new Promise((resolve) => this.#emptied.push(resolve))
  }
}
