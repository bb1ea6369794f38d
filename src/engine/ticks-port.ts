import type { TickSchedule } from '../core/tick-plan.ts'
import type { TickRecord } from '../core/ticks.ts'

/** The record of a schedule, as it was read. */
export interface StoredTick {
  /** Undefined when there is none. */
  readonly record: TickRecord | undefined
  /** What a write must expect to find; 0 when there never was one. */
  readonly revision: number
}

/** The job of a tick. */
export interface TickJob {
  readonly id: string
  readonly schedule: string
  readonly handler: string
  /** Epoch milliseconds. */
  readonly instant: number
  /** JSON; undefined for an empty body. */
  readonly payload: string | undefined
}

/** The records of all schedules, and the way of their jobs into the job stream. Everything can reject. */
export interface TickStore {
  readonly connected: boolean
  read(schedule: string): Promise<StoredTick>
  /** Writes when nobody else has written since `revision` was read; undefined when somebody has. */
  write(schedule: string, record: TickRecord, revision: number): Promise<number | undefined>
  /** Stores the job, or tells where the one with its id is stored already. */
  publishJob(job: TickJob): Promise<{ readonly sequence: number; readonly duplicate: boolean }>
  /** Whether the job that was stored there is completed, or a dead letter. */
  isSettled(handler: string, jobId: string, sequence: number): Promise<boolean>
}

/** Where is said what becomes of ticks; telemetry implements it. */
export interface TickObserver {
  published(schedule: TickSchedule, instant: number, jobId: string): void
  /** Another supervisor was first; or a second job of a tick was not run. */
  duplicate(schedule: string): void
  /** The job of an earlier tick is not settled. */
  skipped(schedule: TickSchedule, instant: number): void
  /** Passed over; `until` is the first instant that was not. */
  missed(schedule: TickSchedule, count: number, until: number): void
  unavailable(schedule: string, error: unknown): void
}
