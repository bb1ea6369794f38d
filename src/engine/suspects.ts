import { withRelease } from '../core/attempt.ts'
import type { HandlerState } from './handler-state.ts'
import type { InFlightJob } from './in-flight-job.ts'
import type { Broker, Clock, Observer } from './ports.ts'

/** Suspects of the same crash come back together; the first of them waits so long for the rest. */
const companionMs = 100
/** It waits no longer than for so many of them one after the other. */
const companionLimit = 10

/**
 * Runs suspects one at a time.
 *
 * A suspect is a job that may have killed its process, or its thread beside other jobs. Only when it
 * runs beside no other suspect does the next crash tell for certain who did it. While one waits here,
 * its record says that this delivery does not count, so that a crash of the process charges only the
 * suspect that was running; the mark is taken back before its own turn.
 *
 * One crash brings many jobs back at the same moment. The first suspect of a series therefore begins only
 * when no other has arrived for 100 ms and all marks are stored: begun at once, it could bring the process
 * down before the others are marked, again and again, until they are out of attempts.
 */
export class Suspects {
  readonly #broker: Broker
  readonly #clock: Clock
  readonly #observer: Observer
  readonly #run: (job: InFlightJob) => void
  readonly #waiting: InFlightJob[] = []
  readonly #admitting = new Set<Promise<unknown>>()
  readonly #marking = new Set<Promise<unknown>>()
  #lastArrivalAt = Number.NEGATIVE_INFINITY
  #running: InFlightJob | undefined
  #choosing = false

  constructor(broker: Broker, clock: Clock, observer: Observer, run: (job: InFlightJob) => void) {
    this.#broker = broker
    this.#clock = clock
    this.#observer = observer
    this.#run = run
  }

  /** A redelivered job has arrived, and its record is being read: it may become a suspect. */
  expect(admitted: Promise<unknown>): void {
    track(this.#admitting, admitted)
  }

  add(job: InFlightJob): void {
    job.suspect = true
    this.#lastArrivalAt = this.#clock.monotonicMs()
    this.#waiting.push(job)
    if (this.#running || this.#waiting.length > 1) track(this.#marking, this.#write(job, true))
    this.#next()
  }

  /** A suspect that ran has ended, whichever way. */
  ended(job: InFlightJob): void {
    if (this.#running !== job) return
    this.#running = undefined
    this.#next()
  }

  /** Hands out everything that waits, or what waits of one handler. */
  takeAll(handler?: HandlerState): InFlightJob[] {
    const waiting = this.#waiting.splice(0)
    if (!handler) return waiting
    this.#waiting.push(...waiting.filter((job) => job.handler !== handler))
    return waiting.filter((job) => job.handler === handler)
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
    await this.#companions()
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

  async #companions(): Promise<void> {
    for (let looks = 0; looks < companionLimit; looks += 1) {
      const waitMs = this.#lastArrivalAt + companionMs - this.#clock.monotonicMs()
      if (waitMs <= 0) break
      await new Promise<void>((resolve) => this.#clock.after(waitMs, resolve))
    }
    await Promise.all(this.#admitting)
  }

  async #write(job: InFlightJob, waiting: boolean): Promise<void> {
    job.hasRecord = true
    job.isMarked = waiting
    try {
      await this.#broker.writeRecord(job.stream, job.sequence, waiting ? withRelease(job.record) : job.record)
    } catch (error) {
      this.#observer.recordUnavailable(error)
    }
  }
}

function track(set: Set<Promise<unknown>>, promise: Promise<unknown>): void {
  set.add(promise)
  void promise.finally(() => set.delete(promise))
}
