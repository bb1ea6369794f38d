import type { HandlerState } from './handler-state.ts'
import type { InFlightJob } from './in-flight-job.ts'
import { JobTable } from './job-table.ts'

/** Every delivery that we hold, by its stream and its place in it. */
export class InFlight {
  readonly #streams = new Map<string, JobTable>()
  /** Of the last lookup, which is usually that of the next one; undefined when nothing of the stream was ever held. */
  #jobs: JobTable | undefined
  #stream: string | undefined
  readonly #removed: (job: InFlightJob) => void
  #size = 0

  /** @param removed - told of each delivery that is not ours any more. */
  constructor(removed: (job: InFlightJob) => void = () => {}) {
    this.#removed = removed
  }

  get size(): number {
    return this.#size
  }

  find(stream: string, sequence: number): InFlightJob | undefined {
    return this.#jobsOf(stream)?.find(sequence)
  }

  add(job: InFlightJob): void {
    let jobs = this.#jobsOf(job.stream)
    if (!jobs) {
      jobs = new JobTable()
      this.#streams.set(job.stream, jobs)
      this.#jobs = jobs
    }
    if (jobs.add(job)) this.#size += 1
  }

  remove(job: InFlightJob): void {
    if (this.#jobsOf(job.stream)?.remove(job)) this.#size -= 1
    this.#removed(job)
  }

  #jobsOf(stream: string): JobTable | undefined {
    if (this.#stream !== stream) {
      this.#stream = stream
      this.#jobs = this.#streams.get(stream)
    }
    return this.#jobs
  }

  /** Deliveries that are not settled yet although no thread works on them. */
  get unsettled(): number {
    let count = 0
    for (const job of this.all()) if (!job.lane) count += 1
    return count
  }

  /** How many there are of each of these handlers, by name. */
  countByHandler(handlers: readonly HandlerState[]): Map<string, number> {
    const counts = new Map(handlers.map((handler) => [handler.profile.name, 0]))
    for (const { handler } of this.all())
      counts.set(handler.profile.name, counts.get(handler.profile.name)! + 1)
    return counts
  }

  *all(): Generator<InFlightJob> {
    for (const jobs of this.#streams.values()) yield* jobs.all()
  }
}
