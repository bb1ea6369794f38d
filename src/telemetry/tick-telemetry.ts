import { countLimit, type TickSchedule } from '../core/tick-plan.ts'
import type { TickObserver } from '../engine/ticks-port.ts'
import type { Logger } from './logger.ts'
import { type Metrics, tickOutcomes } from './metrics.ts'
import { plainError } from './observer.ts'

/** A complaint about a schedule is written at most this often. */
const complaintMs = 5_000

/** Turns what becomes of ticks into log lines and numbers. */
export class TickTelemetry implements TickObserver {
  readonly #logger: Logger
  readonly #metrics: Metrics
  readonly #complainedAt = new Map<string, number>()

  constructor(logger: Logger, metrics: Metrics) {
    this.#logger = logger
    this.#metrics = metrics
  }

  /** Shows a schedule before its first tick: a counter that is first seen above 0 hides its first event. */
  begin(schedule: TickSchedule): void {
    for (const outcome of tickOutcomes) this.#metrics.ticks(schedule.name, outcome, 0)
  }

  published({ name, handler }: TickSchedule, instant: number, jobId: string): void {
    this.#metrics.ticks(name, 'published', 1)
    this.#logger.info({ schedule: name, handler, instant: iso(instant), job_id: jobId }, 'tick published')
  }

  duplicate(schedule: string): void {
    this.#metrics.ticks(schedule, 'duplicate', 1)
  }

  skipped({ name, handler }: TickSchedule, instant: number): void {
    this.#metrics.ticks(name, 'skipped', 1)
    this.#logger.info({ schedule: name, handler, instant: iso(instant) }, 'tick skipped')
  }

  missed({ name, handler }: TickSchedule, count: number, until: number): void {
    this.#metrics.ticks(name, 'missed', count)
    const fields = { schedule: name, handler, missed: count, until: iso(until) }
    this.#logger.warn({ ...fields, ...(count >= countLimit - 1 && { more: true }) }, 'ticks missed')
  }

  unavailable(schedule: string, error: unknown): void {
    const now = performance.now()
    if (now - (this.#complainedAt.get(schedule) ?? Number.NEGATIVE_INFINITY) < complaintMs) return
    this.#complainedAt.set(schedule, now)
    this.#logger.warn({ schedule, err: plainError(error) }, 'ticks unavailable, trying again')
  }
}

function iso(instant: number): string {
  return new Date(instant).toISOString()
}
