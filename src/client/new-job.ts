import { randomUUID } from 'node:crypto'
import { longestKeyedIdBytes } from '../core/control-keys.ts'
import type { HeaderEntry } from '../core/dead-letter.ts'
import { isHandlerName, type Names, namesFor, type Priority, priorities } from '../core/names.ts'
import { invalidJob, jobHeaders, shown } from './new-job-headers.ts'

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
  // A promise has no fields, and would be a job without a payload.
  if (typeof job !== 'object' || job === null || Array.isArray(job) || 'then' in job)
    throw invalidJob('a job is an object such as { handler, payload, id }, and no promise of one')
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
  if (options.id !== undefined) checkJobId(id)
  const { data, contentType } = encodePayload(payload)
  const headers = jobHeaders(options, contentType, nowMs)
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
  // The most usual ids need no look at anything but their characters.
  if (typeof id === 'string' && /^[!-~]{1,128}$/.test(id)) return
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
      `the payload is a value (${typeof payload}) that JSON cannot hold; pass plain values or a Uint8Array`,
    )
  return { data: json, contentType: undefined }
}
