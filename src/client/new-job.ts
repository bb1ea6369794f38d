import { randomUUID } from 'node:crypto'
import { longestKeyedIdBytes } from '../core/control-keys.ts'
import type { HeaderEntry } from '../core/dead-letter.ts'
import { MillraceError } from '../core/errors.ts'
import { mostHeaders, readJobHeaders } from '../core/job-headers.ts'
import { isHandlerName, type Names, namesFor, type Priority, priorities } from '../core/names.ts'

/** How and when a job is to run. Every field is optional. */
export interface EnqueueOptions {
  /**
   * The job's id, and its dedupe key: enqueuing the same id again within the duplicate window stores nothing.
   * @default a random one, so that trying again after a lost connection never makes two jobs
   */
  id?: string | undefined
  /** The job does not start before this instant: a `Date`, or RFC 3339 such as `2026-01-31T12:00:00Z`. */
  runAt?: Date | string | undefined
  /** The same, counted from now in milliseconds. */
  delayMs?: number | undefined
  /** A job that has not started by this instant becomes a dead letter instead. */
  expiresAt?: Date | string | undefined
  /** Jobs of one handler with the same key run one at a time, in order. */
  key?: string | undefined
  /** @default 'normal' */
  priority?: Priority | undefined
  /** Headers that the handler sees; `traceparent` belongs here. Names that begin with `Nats-` are refused. */
  headers?: Readonly<Record<string, string>> | undefined
  /** Instead of the handler's own deadline. */
  deadlineMs?: number | undefined
  /** Instead of the handler's own number of attempts. */
  maxAttempts?: number | undefined
}

/** One of the jobs of `enqueueMany`: what `enqueue` takes, in one object. */
export interface JobToEnqueue<Handler extends string = string, Payload = unknown> extends EnqueueOptions {
  /** May be left out when `enqueueMany` is told a handler for all. */
  handler?: Handler | undefined
  payload?: Payload
}

/** A job as it goes to the broker. */
export interface NewJob {
  readonly id: string
  /** The id is the caller's, and may have been enqueued before. */
  readonly idGiven: boolean
  readonly handler: string
  readonly subject: string
  readonly stream: string
  readonly headers: readonly HeaderEntry[]
  readonly data: Uint8Array | string
}

const optionNames = [
  'id',
  'runAt',
  'delayMs',
  'expiresAt',
  'key',
  'priority',
  'headers',
  'deadlineMs',
  'maxAttempts',
] as const satisfies readonly (keyof EnqueueOptions)[]

/** What a job can be without that a header says it. */
const silentNames: readonly string[] = ['id', 'priority', 'handler', 'payload']

const noHeaders: readonly HeaderEntry[] = []
const longestDelayMs = 100 * 365 * 86_400_000

/**
 * Builds the message of a job and checks everything that the supervisor would check: what it would refuse is
 * refused here, before anything is sent.
 *
 * @throws {MillraceError} `invalid_job`, with the value and the remedy.
 */
export function composeJob(
  names: Names,
  handler: string,
  payload: unknown,
  options: EnqueueOptions,
  nowMs: number,
): NewJob {
  checkHandler(handler)
  for (const name of Object.keys(options)) {
    if (!(optionNames as readonly string[]).includes(name))
      throw invalidJob(`${name} is not an option of enqueue; there are ${optionNames.join(', ')}`)
  }
  return compose(names, handler, payload, options, nowMs)
}

/**
 * The same for one of many jobs.
 *
 * @param handlerOfAll - for a job that names none.
 * @throws {MillraceError} `invalid_job`, with the value and the remedy.
 */
export function composeJobOfMany(
  names: Names,
  job: JobToEnqueue,
  handlerOfAll: string | undefined,
  nowMs: number,
): NewJob {
  if (typeof job !== 'object' || job === null || Array.isArray(job))
    throw invalidJob('a job is an object such as { handler, payload, id }')
  for (const name of Object.keys(job)) {
    if (name !== 'handler' && name !== 'payload' && !(optionNames as readonly string[]).includes(name))
      throw invalidJob(
        `${name} is not an option of a job; there are handler, payload, ${optionNames.join(', ')}`,
      )
  }
  const handler = job.handler ?? handlerOfAll
  checkHandler(handler)
  return compose(names, handler, job.payload, job, nowMs)
}

function compose(
  names: Names,
  handler: string,
  payload: unknown,
  options: EnqueueOptions,
  nowMs: number,
): NewJob {
  const priority = options.priority ?? 'normal'
  if (!priorities.includes(priority))
    throw invalidJob(`priority must be one of ${priorities.join(', ')}, got ${shown(priority)}`)
  const id = options.id ?? randomUUID()
  checkJobId(id)
  const { data, contentType } = encodePayload(payload)
  const headers = saysMore(options, contentType) ? composeHeaders(options, contentType, nowMs) : noHeaders
  if (headers.length > 0) checkHeaders(headers)
  return {
    id,
    idGiven: options.id !== undefined,
    handler,
    subject: names.jobSubject(handler, priority),
    stream: names.streamOf(priority),
    headers,
    data,
  }
}

/**
 * Checks a job without a broker.
 *
 * @throws {MillraceError} as `composeJob` does.
 */
export function checkJob(handler: string, payload: unknown, options: EnqueueOptions): void {
  composeJob(namesFor('jobs'), handler, payload, options, Date.now())
}

/** @throws {MillraceError} `invalid_job` when no handler can have this name. */
export function checkHandler(handler: unknown): asserts handler is string {
  if (typeof handler === 'string' && isHandlerName(handler)) return
  throw invalidJob(
    `a handler's name is made of letters, digits and hyphens, with dots between, such as email.send; got ${shown(handler)}`,
  )
}

/** @throws {MillraceError} `invalid_job` when no job can have this id. */
export function checkJobId(id: unknown): void {
  if (
    typeof id === 'string' &&
    id !== '' &&
    id.trim() === id &&
    !/\p{Cc}/u.test(id) &&
    Buffer.byteLength(id) <= longestKeyedIdBytes
  )
    return
  throw invalidJob(
    `a job's id is text of 1 to ${longestKeyedIdBytes} bytes without control characters and without spaces around it; got ${shown(id)}`,
  )
}

/** Whether there is anything to say in headers: most jobs have none, and looking for each would cost as much. */
function saysMore(options: EnqueueOptions, contentType: string | undefined): boolean {
  if (contentType !== undefined) return true
  for (const name in options) if (!silentNames.includes(name)) return true
  return false
}

function encodePayload(payload: unknown): { data: Uint8Array | string; contentType: string | undefined } {
  if (payload === undefined) return { data: '', contentType: undefined }
  if (payload instanceof Uint8Array) return { data: payload, contentType: 'application/octet-stream' }
  let json: string | undefined
  try {
    json = JSON.stringify(payload) as string | undefined
  } catch {
    json = undefined
  }
  // The reason that JSON.stringify gives may quote the payload.
  if (json === undefined)
    throw invalidJob(
      `the payload is a ${typeof payload} that JSON cannot hold; pass plain values or a Uint8Array`,
    )
  return { data: json, contentType: undefined }
}

function composeHeaders(
  options: EnqueueOptions,
  contentType: string | undefined,
  nowMs: number,
): HeaderEntry[] {
  const headers: HeaderEntry[] = []
  const given = Object.entries(options.headers ?? {})
  if (given.length > mostHeaders)
    throw invalidJob(`a job has at most ${mostHeaders} headers, got ${given.length}; use the payload`)
  for (const [name, value] of given) {
    if (!/^[!#$%&'*+.^_`|~\w-]+$/.test(name))
      throw invalidJob(`a header's name is made of letters, digits and hyphens, got ${shown(name)}`)
    if (/^nats-/i.test(name))
      throw invalidJob(
        `the header ${name} belongs to the server; give the job's id as id, and leave out the rest`,
      )
    if (typeof value !== 'string' || /\p{Cc}/u.test(value))
      throw invalidJob(`the header ${name} must be text without control characters, got ${shown(value)}`)
    headers.push([name, value])
  }
  const add = (name: string, value: string | undefined, option: string): void => {
    if (value === undefined) return
    if (headers.some(([other]) => other.toLowerCase() === name.toLowerCase()))
      throw invalidJob(`${option} and the header ${name} say the same thing; give one of them`)
    headers.push([name, value])
  }
  if (!headers.some(([name]) => name.toLowerCase() === 'content-type'))
    add('content-type', contentType, 'content-type')
  const { key } = options
  // NATS takes away the spaces around a header's value, and with them the difference between two keys.
  if (
    key !== undefined &&
    !(typeof key === 'string' && key !== '' && key.trim() === key && !/\p{Cc}/u.test(key))
  )
    throw invalidJob(
      `key must be text without control characters and without spaces around it, got ${shown(key)}`,
    )
  add('Millrace-Run-At', runAtOf(options, nowMs), options.delayMs === undefined ? 'runAt' : 'delayMs')
  add('Millrace-Expires-At', instantOf('expiresAt', options.expiresAt), 'expiresAt')
  add('Millrace-Key', key, 'key')
  add('Millrace-Deadline-Ms', options.deadlineMs?.toString(), 'deadlineMs')
  add('Millrace-Max-Attempts', options.maxAttempts?.toString(), 'maxAttempts')
  return headers
}

function runAtOf({ runAt, delayMs }: EnqueueOptions, nowMs: number): string | undefined {
  if (delayMs === undefined) return instantOf('runAt', runAt)
  if (runAt !== undefined) throw invalidJob('runAt and delayMs say the same thing; give one of them')
  if (typeof delayMs !== 'number' || !(delayMs >= 0 && delayMs <= longestDelayMs))
    throw invalidJob(
      `delayMs must be a number of milliseconds from 0 to ${longestDelayMs}, got ${shown(delayMs)}`,
    )
  return delayMs === 0 ? undefined : new Date(nowMs + delayMs).toISOString()
}

function instantOf(option: string, instant: Date | string | undefined): string | undefined {
  if (instant === undefined || typeof instant === 'string') return instant
  if (instant instanceof Date && !Number.isNaN(instant.getTime())) return instant.toISOString()
  throw invalidJob(
    `${option} must be a valid Date or RFC 3339 text such as 2026-01-31T12:00:00Z, got ${shown(instant)}`,
  )
}

/** Reads the headers as a supervisor will. */
function checkHeaders(entries: readonly HeaderEntry[]): void {
  const plain = Object.fromEntries(entries.map(([name, value]) => [name.toLowerCase(), value]))
  const { headers, problem } = readJobHeaders(plain)
  if (problem !== undefined) throw invalidJob(problem)
  const { runAt, expiresAt } = headers
  if (runAt !== undefined && expiresAt !== undefined && expiresAt <= runAt)
    throw invalidJob(
      `the job expires at ${new Date(expiresAt).toISOString()}, before it may run at ${new Date(runAt).toISOString()}: it would never run`,
    )
}

function invalidJob(message: string): MillraceError {
  return new MillraceError('invalid_job', message)
}

function shown(value: unknown): string {
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value)
  return text.length > 80 ? `${text.slice(0, 79)}…` : text
}
