import { withRelease } from '../core/attempt.ts'
import type { InFlightJob } from './in-flight-job.ts'
import type { Broker, Observer } from './ports.ts'

/**
 * Runs suspects one at a time.
 *
 * A suspect is a job that may have killed its process, or its thread beside other jobs. Only when it
 * runs beside no other suspect does the next crash tell for certain who did it. While one waits here,
 * its record says that this delivery does not count, so that a crash of the process charges only the
 * suspect that was running; the mark is taken back before its own turn.
 */
export class Suspects {
  readonly #broker: Broker
  readonly #observer: Observer
  readonly #run: (job: InFlightJob) => void
  readonly #waiting: InFlightJob[] = []
  readonly #marking = new Set<Promise<void>>()
  #running: InFlightJob | undefined
  #choosing = false

  constructor(broker: Broker, observer: Observer, run: (job: InFlightJob) => void) {
    this.#broker = broker
    this.#observer = observer
    this.#run = run
  }

  add(job: InFlightJob): void {
    job.suspect = true
    this.#waiting.push(job)
    if (this.#running || this.#waiting.length > 1) this.#track(this.#write(job, true))
    this.#next()
  }

  /** A suspect that ran has ended, whichever way. */
  ended(job: InFlightJob): void {
    if (this.#running !== job) return
    this.#running = undefined
    this.#next()
  }

  /** Hands out everything that waits, for a drain. */
  takeAll(): InFlightJob[] {
    return this.#waiting.splice(0)
  }

  /** Takes one job out, because its lease is lost. */
  remove(job: InFlightJob): boolean {
    const at = this.#waiting.indexOf(job)
    if (at < 0) return false
    this.#waiting.splice(at, 1)
    return true
  }

  #next(): void {
    if (this.#running || this.#choosing || this.#waiting.length === 0) return
    this.#choosing = true
    void this.#choose()
  }

  async #choose(): Promise<void> {
    // Every other suspect's mark must be stored before this one can bring the process down.
    while (this.#marking.size > 0) await Promise.all(this.#marking)
    const job = this.#waiting[0]
    if (job?.hasRecord) await this.#write(job, false)
    this.#choosing = false
    if (!job || this.#waiting[0] !== job) return this.#next()
    this.#waiting.shift()
    this.#running = job
    this.#run(job)
  }

  async #write(job: InFlightJob, waiting: boolean): Promise<void> {
    job.hasRecord = true
    try {
      await this.#broker.writeRecord(job.sequence, waiting ? withRelease(job.record) : job.record)
    } catch (error) {
      this.#observer.recordUnavailable(error)
    }
  }

  #track(write: Promise<void>): void {
    this.#marking.add(write)
    void write.finally(() => this.#marking.delete(write))
  }
}
