import type { Backoff } from './backoff.ts'
import type { ScheduleOptions } from './schedule.ts'

/** What a Standard Schema library (zod, valibot, arktype) hands out. Source: standardschema.dev, version 1. */
export interface StandardSchema<Output = unknown, Input = unknown> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly unknown[] }

/** Which kind of thread runs a handler: `cpu` runs one job at a time, `io` many at once. */
export type PoolName = 'cpu' | 'io'

/** What a handler can know about the job it runs. */
export interface Job {
  /** `Nats-Msg-Id` of the enqueue, or `<stream>:<sequence>` when there was none. */
  readonly id: string
  readonly handler: string
  /** Counts from 1; deliveries that were no fault of the job are not counted. */
  readonly attempt: number
  readonly maxAttempts: number
  readonly enqueuedAt: Date
  /** Names in lower case, repeated headers joined with `, `. */
  readonly headers: Readonly<Record<string, string>>
  readonly subject: string
  /** The job's place in its stream. */
  readonly sequence: number
  /** True when the broker has delivered this job before. */
  readonly redelivered: boolean
}

/** Why a signal was aborted. */
export type AbortCode = 'deadline' | 'shutdown' | 'lease_lost' | 'cancelled'

/** The part of a pino logger that handlers use. */
export interface JobLogger {
  trace(objectOrMessage: unknown, message?: string, ...values: unknown[]): void
  debug(objectOrMessage: unknown, message?: string, ...values: unknown[]): void
  info(objectOrMessage: unknown, message?: string, ...values: unknown[]): void
  warn(objectOrMessage: unknown, message?: string, ...values: unknown[]): void
  error(objectOrMessage: unknown, message?: string, ...values: unknown[]): void
  fatal(objectOrMessage: unknown, message?: string, ...values: unknown[]): void
  child(fields: Record<string, unknown>): JobLogger
}

/** The second argument of a handler. */
export interface HandlerContext {
  readonly job: Job
  /**
   * Aborts at the deadline, at shutdown, when the lease is lost and when the job is cancelled;
   * `signal.reason.code` says which. After it the grace runs, then the thread is killed.
   */
  readonly signal: AbortSignal
  readonly deadlineAt: Date
  /** The instant that a scheduled job stands for; undefined for a job that no schedule published. */
  readonly tick: Date | undefined
  /** Writes to the supervisor's stdout with the job's fields on every line. */
  readonly logger: JobLogger
  /**
   * Tells whoever listens how far the job is, as an event on `events.<namespace>.<handler>.progress`. The
   * value is anything that JSON can hold. Nobody has to listen, events can be lost, and of values within
   * 100 ms only the first is sent.
   *
   * @throws {TypeError} when JSON cannot hold the value.
   */
  progress(value: unknown): void
}

/** How often and how a failed job is attempted again. Each field falls back to the settings. */
export interface RetryOptions {
  /** Attempts in all, the first one included; from 1. */
  maxAttempts?: number
  backoff?: Partial<Backoff>
}

/** At most `jobs` starts within any `perMs`. */
export interface RateLimit {
  /** A whole number of at least 1. */
  jobs: number
  /** A whole number of at least 1. */
  perMs: number
}

/** What a handler file may export by default; every field but `run` is optional. */
export interface HandlerDefinition<Payload = unknown, Result = unknown, Input = unknown> {
  /** A payload that fails it is dead-lettered at once, with reason `invalid`; `run` receives its output. */
  schema?: StandardSchema<Payload, Input>
  /** How long one attempt may run, from the moment the handler starts. At least 10. */
  deadlineMs?: number
  /** From the abort signal to the kill. At least 0. */
  graceMs?: number
  retry?: RetryOptions
  /** @default 'cpu' */
  pool?: PoolName
  /** The most attempts in flight on one supervisor. At least 1; without it, as many as the pool has room for. */
  concurrency?: number
  /** The most attempts in flight on all supervisors together. At least 1. */
  maxInFlight?: number
  /** How many attempts all supervisors together may start in any span of time; the others wait, uncharged. */
  rateLimit?: RateLimit
  /** Jobs that are published by the clock; the schedule has the handler's name. */
  schedule?: ScheduleOptions
  /**
   * Whether what `run` returns is kept for whoever asks for it, under the job's id.
   * @default false
   */
  result?: boolean
  run(payload: Payload, context: HandlerContext): Result | Promise<Result>
}

/** A handler in its short form. */
export type HandlerFunction<Payload = unknown, Result = unknown> = (
  payload: Payload,
  context: HandlerContext,
) => Result | Promise<Result>

/** Returns its argument; it is there for the types. */
export function defineHandler<Payload = unknown, Result = unknown, Input = unknown>(
  definition: HandlerDefinition<Payload, Result, Input>,
): HandlerDefinition<Payload, Result, Input> {
  return definition
}

/** The fields of a definition that are plain values: what the supervisor needs and a thread can send. */
export interface HandlerOptions {
  deadlineMs?: number
  graceMs?: number
  retry?: RetryOptions
  pool?: PoolName
  concurrency?: number
  maxInFlight?: number
  rateLimit?: RateLimit
  schedule?: ScheduleOptions
  result?: boolean
}
