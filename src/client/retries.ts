import type { HeaderEntry } from '../core/dead-letter.ts'
import { MillraceError } from '../core/errors.ts'
import { readJobHeaders } from '../core/job-headers.ts'
import { type Names, priorities } from '../core/names.ts'
import type { ClientPort } from '../nats/client-broker.ts'
import type { RecordedJob } from '../nats/recorded-attempts.ts'
import { checkHandler } from './new-job.ts'

/** A job that has failed, or was put off, and is to be attempted again. */
export interface WaitingRetry {
  readonly handler: string
  readonly jobId: string
  readonly stream: string
  readonly sequence: number
  /** Attempts that have counted so far. */
  readonly attempts: number
  /**
   * When the next attempt may begin; once that has passed it runs, or is about to. Undefined when the record does
   * not say, because an older version wrote it.
   */
  readonly dueAt: Date | undefined
  /** When the last attempt began, as far as it is on record. */
  readonly lastAttemptAt: Date | undefined
  /** How the last attempt ended: `failed`, `timed_out`, `crashed`; undefined for a job that was only put off. */
  readonly outcome: string | undefined
  readonly errorCode: string | undefined
  readonly errorMessage: string | undefined
}

/** Which of them are meant. */
export interface RetrySelection {
  readonly handler?: string | undefined
  /** No more than these, those that failed first. @default 100 */
  readonly limit?: number | undefined
  /** Hears when there may be more than were looked at. */
  readonly onMore?: (() => void) | undefined
}

const defaultLimit = 100
/** So many records are looked at, at most, to find those of one handler. */
const mostRecords = 20_000
/** So many jobs are asked for at the same time. */
const atOnce = 16

/** Pages of the jobs that wait for another attempt, as they are found. */
export async function* readRetries(
  broker: ClientPort,
  names: Names,
  { handler, limit = defaultLimit, onMore }: RetrySelection,
  requestMs: number,
): AsyncGenerator<WaitingRetry[], void, undefined> {
  let found = 0
  let looked = 0
  for await (const page of broker.attempts.pages(requestMs)) {
    const waiting = page.filter(({ record }) => isWaiting(record))
    for (let from = 0; from < waiting.length; from += atOnce) {
      // Only now, so that a list that just fits is not said to be cut short.
      if (found >= limit || looked >= mostRecords) {
        onMore?.()
        return
      }
      const some = waiting.slice(from, from + Math.min(atOnce, mostRecords - looked))
      looked += some.length
      const jobs = await Promise.all(some.map((each) => readRetry(broker, names, each, requestMs)))
      const wanted = jobs.filter((job) => job && (handler === undefined || job.handler === handler))
      const taken = (wanted as WaitingRetry[]).slice(0, limit - found)
      found += taken.length
      if (taken.length > 0) yield taken
      if (taken.length < wanted.length) {
        onMore?.()
        return
      }
    }
  }
}

/** A dead letter of it is stored, or about to be, and nothing runs again. */
function isWaiting({ failures, dueAt, notBefore, dead }: RecordedJob['record']): boolean {
  return !dead && (failures > 0 || dueAt !== undefined || notBefore !== undefined)
}

async function readRetry(
  broker: ClientPort,
  names: Names,
  { stream, sequence, record }: RecordedJob,
  requestMs: number,
): Promise<WaitingRetry | undefined> {
  const job = await broker.attempts.job(stream, sequence, requestMs)
  const handler = job && handlerOf(names, stream, job.subject)
  if (!job || handler === undefined) return undefined
  const { headers } = readJobHeaders(plain(job.headers))
  const last = record.history.at(-1)
  const dueAt = record.notBefore ?? record.dueAt
  return {
    handler,
    jobId: headers.id ?? `${stream}:${sequence}`,
    stream,
    sequence,
    attempts: last?.attempt ?? record.failures,
    dueAt: dueAt === undefined ? undefined : dateOf(dueAt),
    lastAttemptAt: last?.at === undefined ? undefined : dateOf(Date.parse(last.at)),
    outcome: last?.outcome,
    errorCode: last?.error_code,
    errorMessage: last?.error,
  }
}

function handlerOf(names: Names, stream: string, subject: string): string | undefined {
  if (names.streamOfSubject(subject) !== stream) return undefined
  const priority = priorities.find((each) => names.streamOf(each) === stream)
  return priority && subject.slice(names.jobSubject('', priority).length)
}

/** As a handler sees them. */
function plain(entries: readonly HeaderEntry[]): Record<string, string> {
  const headers: Record<string, string> = Object.create(null)
  for (const [name, value] of entries) {
    const lower = name.toLowerCase()
    headers[lower] = headers[lower] === undefined ? value : `${headers[lower]}, ${value}`
  }
  return headers
}

/** A record may have been written by anybody, and `toISOString` throws for an instant that there is not. */
function dateOf(ms: number): Date | undefined {
  const date = new Date(ms)
  return Number.isNaN(date.getTime()) ? undefined : date
}

/** @throws {MillraceError} `invalid_job` for a selection that makes no sense. */
export function checkRetrySelection({ handler, limit }: RetrySelection): void {
  if (handler !== undefined) checkHandler(handler)
  if (limit !== undefined && !(Number.isSafeInteger(limit) && limit >= 1))
    throw new MillraceError('invalid_job', `limit must be a whole number of at least 1, got ${limit}`)
}
