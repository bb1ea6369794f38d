import type { InFlightJob } from './in-flight-job.ts'

/** Starts that came too late for what they were granted, and when the last of them did; monotonic. */
export interface LateStarts {
  readonly jobs: number
  readonly at: number
}

/** The jobs of one limited handler: those that wait for their turn, and those that have had it. */
export class LimitedJobs {
  /** When a job was last let in; monotonic. */
  lastInAt = Number.NEGATIVE_INFINITY
  /** The most that were inside at once since this was last set. */
  peak = 0
  late: LateStarts = { jobs: 0, at: 0 }
  readonly #waiting = new Set<InFlightJob>()
  /** Of these, the ones that nobody has been told of. */
  readonly #untold = new Set<InFlightJob>()
  /** Past the gate, and their run is not over; until when each has to start, as long as it has not. */
  readonly #inside = new Map<InFlightJob, number>()
  /** Of these, the ones that had not begun by then: each counts as a start until it has. */
  readonly #overdue = new Set<InFlightJob>()

  get waiting(): number {
    return this.#waiting.size
  }

  get inside(): number {
    return this.#inside.size
  }

  isInside(job: InFlightJob): boolean {
    return this.#inside.has(job)
  }

  wait(job: InFlightJob): void {
    this.#waiting.add(job)
    this.#untold.add(job)
  }

  /** The job that has waited longest; it waits no more. */
  next(): InFlightJob | undefined {
    const [job] = this.#waiting
    if (job) this.remove(job)
    return job
  }

  remove(job: InFlightJob): void {
    this.#waiting.delete(job)
    this.#untold.delete(job)
  }

  takeAll(): InFlightJob[] {
    const jobs = [...this.#waiting]
    this.#waiting.clear()
    this.#untold.clear()
    return jobs
  }

  /** How many more jobs wait than the last time. */
  countNewlyWaiting(): number {
    const { size } = this.#untold
    this.#untold.clear()
    return size
  }

  letIn(job: InFlightJob, now: number, startBy: number): void {
    this.#inside.set(job, startBy)
    this.peak = Math.max(this.peak, this.#inside.size)
    this.lastInAt = now
  }

  /** True when the job began too late. */
  started(job: InFlightJob, startedAt: number): boolean {
    const startBy = this.#inside.get(job)
    if (startBy === undefined) return false
    this.#inside.set(job, Number.POSITIVE_INFINITY)
    const isLate = this.#overdue.delete(job) || startedAt > startBy
    if (isLate) this.#addLate(startedAt)
    return isLate
  }

  /** True when it was inside. */
  ended(job: InFlightJob): boolean {
    this.#overdue.delete(job)
    return this.#inside.delete(job)
  }

  /** What has not begun although it should have counts as starting now, and again every `againMs`. */
  countOverdue(now: number, againMs: number): void {
    for (const [job, startBy] of this.#inside) {
      if (startBy >= now) continue
      this.#overdue.add(job)
      this.#inside.set(job, now + againMs)
      this.#addLate(now)
    }
  }

  /** So many late starts are on record now. */
  recorded(jobs: number): void {
    this.late = { jobs: this.late.jobs - jobs, at: this.late.at }
  }

  #addLate(at: number): void {
    this.late = { jobs: this.late.jobs + 1, at: Math.max(this.late.at, at) }
  }
}
