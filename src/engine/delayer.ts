import { type DelayedJob, delayedHeaders } from '../core/delayed-job.ts'
import type { Clock } from './clock-port.ts'
import type { DelayedJobs } from './delayed-jobs-port.ts'
import type { HandlerState } from './handler-state.ts'
import type { InFlightJob } from './in-flight-job.ts'
import type { Observer } from './observer-port.ts'
import type { Settlement } from './settlement.ts'

/** A shorter wait is not worth two moves: the job is given back for so long. */
const shortMs = 1_000
/** Moves that wait for the server's answer at the same time. */
const atOnce = 512
/** A job that could not be moved comes back after this at the latest, to be tried again. */
const refusedMs = 30_000
/** With so many of a handler on their way, nothing more of it is pulled. */
export const movingLimit = 2_000

/**
 * Puts jobs aside whose time has not come.
 *
 * 1. The job is stored in the delayed stream, and when the server has said so, its delivery is acked.
 *    Dying in between leaves it in both, and its message id lets the next supervisor see that.
 * 2. What cannot be stored there is given back until its time, as is a job that has only a moment to wait.
 *
 * Meanwhile it takes up no room among the handler's jobs.
 */
export class Delayer {
  readonly #delayed: DelayedJobs | undefined
  readonly #clock: Clock
  readonly #observer: Observer
  readonly #settlement: Settlement
  readonly #roomChanged: (handler: HandlerState) => void
  /** With the instant that each is due at. */
  readonly #waiting = new Map<InFlightJob, number>()
  #underWay = 0

  constructor(parts: {
    delayed: DelayedJobs | undefined
    clock: Clock
    observer: Observer
    settlement: Settlement
    roomChanged: (handler: HandlerState) => void
  }) {
    this.#delayed = parts.delayed
    this.#clock = parts.clock
    this.#observer = parts.observer
    this.#settlement = parts.settlement
    this.#roomChanged = parts.roomChanged
  }

  add(job: InFlightJob, dueAt: number): void {
    if (dueAt - this.#clock.now() < shortMs) {
      this.#giveBack(job, dueAt)
      return
    }
    job.handler.moving += 1
    job.handler.movedInARow += 1
    this.#waiting.set(job, dueAt)
    this.#next()
  }

  /** Takes one job out, because its lease is lost; false when it is being stored, or is not here. */
  remove(job: InFlightJob): boolean {
    if (!this.#waiting.delete(job)) return false
    this.#moved(job)
    return true
  }

  #next(): void {
    for (const [job, dueAt] of this.#waiting) {
      if (this.#underWay >= atOnce) return
      this.#waiting.delete(job)
      this.#underWay += 1
      void this.#move(job, dueAt).finally(() => {
        this.#underWay -= 1
        this.#moved(job)
        this.#next()
      })
    }
  }

  async #move(job: InFlightJob, dueAt: number): Promise<void> {
    const delayed: DelayedJob = {
      jobId: job.jobId,
      subject: job.subject,
      stream: job.stream,
      sequence: job.sequence,
      storedAt: job.storedAt,
      enqueuedAt: job.enqueuedAt,
      dueAt,
      // Deliveries that left no trace cannot have run it before its time.
      attempts: job.priorAttempts + job.record.failures,
      history: job.record.history,
    }
    try {
      const headers = delayedHeaders(delayed, job.headerEntries ?? [])
      const storing = this.#delayed?.store(delayed, headers, job.data)
      if (!storing) {
        this.#giveBack(job, dueAt)
        return
      }
      await storing
    } catch (error) {
      this.#observer.delayRefused(error)
      this.#giveBack(job, Math.min(dueAt, this.#clock.now() + refusedMs))
      return
    }
    this.#settlement.moved(job)
    this.#observer.delayed(job, dueAt)
  }

  #giveBack(job: InFlightJob, dueAt: number): void {
    if (job.leaseLost) void this.#settlement.abandon(job, false)
    else void this.#settlement.release(job, Math.max(1, dueAt - this.#clock.now()))
  }

  #moved(job: InFlightJob): void {
    job.handler.moving -= 1
    this.#roomChanged(job.handler)
  }
}
