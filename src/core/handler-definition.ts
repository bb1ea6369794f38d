import type { Backoff } from './backoff.ts'

/** What a Standard Schema library (zod, valibot, arktype) hands out. Source: standardschema.dev, version 1. */
export interface StandardSchema<Output = unknown> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined
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

/** What a handler file may export by default; every field but `run` is optional. */
export interface HandlerDefinition<Payload = unknown, Result = unknown> {
  /** A payload that fails it is dead-lettered at once, with reason `invalid`; `run` receives its output. */
  schema?: StandardSchema<Payload>
  /** How long one attempt may run, from the moment the handler starts. At least 10. */
  deadlineMs?: number
  /** From the abort signal to the kill. At least 0. */
  graceMs?: number
  retry?: RetryOptions
  /** @default 'cpu' */
  pool?: PoolName
  /** The most attempts in flight on one supervisor. At least 1; without it, as many as the pool has room for. */
  concurrency?: number
  run(payload: Payload, context: HandlerContext): Result | Promise<Result>
}

/** A handler in its short form. */
export type HandlerFunction<Payload = unknown, Result = unknown> = (
  payload: Payload,
  context: HandlerContext,
) => Result | Promise<Result>

/** Returns its argument; it is there for the types. */
export function defineHandler<Payload = unknown, Result = unknown>(
  definition: HandlerDefinition<Payload, Result>,
): HandlerDefinition<Payload, Result> {
  return definition
}

/** The fields of a definition that are plain values: what the supervisor needs and a thread can send. */
export interface HandlerOptions {
  deadlineMs?: number
  graceMs?: number
  retry?: RetryOptions
  pool?: PoolName
  concurrency?: number
}

const knownFields = new Set(['schema', 'deadlineMs', 'graceMs', 'retry', 'pool', 'concurrency', 'run'])

/**
 * Reads the default export of a handler file.
 *
 * Returns the function to run, its schema and its plain options, or every problem found: a handler
 * with a problem is not used at all, because a deadline that was misspelt would not be kept.
 */
export function readDefinition(
  exported: unknown,
):
  | { kind: 'handler'; run: HandlerFunction; schema: StandardSchema | undefined; options: HandlerOptions }
  | { kind: 'problems'; problems: string[] } {
  if (typeof exported === 'function') {
    return { kind: 'handler', run: exported as HandlerFunction, schema: undefined, options: {} }
  }
  if (typeof exported !== 'object' || exported === null) {
    const got = exported === undefined ? 'nothing' : exported === null ? 'null' : `a ${typeof exported}`
    return {
      kind: 'problems',
      problems: [`the default export must be a function or a handler definition, got ${got}`],
    }
  }
  const definition = exported as Record<string, unknown>
  const problems: string[] = []
  for (const field of Object.keys(definition)) {
    if (!knownFields.has(field))
      problems.push(`unknown field ${JSON.stringify(field)}; known are ${[...knownFields].join(', ')}`)
  }
  if (typeof definition['run'] !== 'function') problems.push('run must be a function')
  const number = (name: string, value: unknown, least: number, whole: boolean): void => {
    if (value === undefined) return
    const fits =
      typeof value === 'number' &&
      Number.isFinite(value) &&
      value >= least &&
      (!whole || Number.isInteger(value))
    if (!fits)
      problems.push(
        `${name} must be a ${whole ? 'whole ' : ''}number of at least ${least}, got ${describe(value)}`,
      )
  }
  number('deadlineMs', definition['deadlineMs'], 10, true)
  number('graceMs', definition['graceMs'], 0, true)
  number('concurrency', definition['concurrency'], 1, true)
  const pool = definition['pool']
  if (pool !== undefined && pool !== 'cpu' && pool !== 'io')
    problems.push(`pool must be 'cpu' or 'io', got ${describe(pool)}`)
  const schema = definition['schema']
  if (
    schema !== undefined &&
    typeof (schema as StandardSchema | null)?.['~standard']?.validate !== 'function'
  ) {
    problems.push(
      'schema must be a Standard Schema (an object with "~standard"), such as one made by zod, valibot or arktype',
    )
  }
  const retry = definition['retry']
  if (retry !== undefined) {
    if (typeof retry !== 'object' || retry === null)
      problems.push(`retry must be an object, got ${describe(retry)}`)
    else checkRetry(retry as Record<string, unknown>, problems, number)
  }
  if (problems.length > 0) return { kind: 'problems', problems }
  const options: HandlerOptions = {}
  for (const field of ['deadlineMs', 'graceMs', 'retry', 'pool', 'concurrency'] as const) {
    if (definition[field] !== undefined) (options as Record<string, unknown>)[field] = definition[field]
  }
  const run = definition['run'] as HandlerFunction
  return {
    kind: 'handler',
    run: (payload, context) => run.call(definition, payload, context),
    schema: schema as StandardSchema | undefined,
    options,
  }
}

function checkRetry(
  retry: Record<string, unknown>,
  problems: string[],
  number: (name: string, value: unknown, least: number, whole: boolean) => void,
): void {
  for (const field of Object.keys(retry)) {
    if (field !== 'maxAttempts' && field !== 'backoff')
      problems.push(`unknown field "retry.${field}"; known are maxAttempts, backoff`)
  }
  number('retry.maxAttempts', retry['maxAttempts'], 1, true)
  const backoff = retry['backoff']
  if (backoff === undefined) return
  if (typeof backoff !== 'object' || backoff === null) {
    problems.push(`retry.backoff must be an object, got ${describe(backoff)}`)
    return
  }
  const fields = backoff as Record<string, unknown>
  for (const field of Object.keys(fields)) {
    if (!['kind', 'baseMs', 'factor', 'maxMs', 'jitter'].includes(field)) {
      problems.push(`unknown field "retry.backoff.${field}"; known are kind, baseMs, factor, maxMs, jitter`)
    }
  }
  if (fields['kind'] !== undefined && fields['kind'] !== 'exponential') {
    problems.push(`retry.backoff.kind must be 'exponential', got ${describe(fields['kind'])}`)
  }
  if (fields['jitter'] !== undefined && fields['jitter'] !== 'full' && fields['jitter'] !== 'none') {
    problems.push(`retry.backoff.jitter must be 'full' or 'none', got ${describe(fields['jitter'])}`)
  }
  number('retry.backoff.baseMs', fields['baseMs'], 0, false)
  number('retry.backoff.maxMs', fields['maxMs'], 0, false)
  number('retry.backoff.factor', fields['factor'], 1, false)
}

function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'object' && value !== null) return 'an object'
  return String(value)
}
