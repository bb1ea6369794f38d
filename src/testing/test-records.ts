import { type HeaderEntry, isKeptInDeadLetter } from '../core/dead-letter.ts'
import type { HistoryEntry } from '../core/history.ts'
import { isJsonType } from '../core/job-headers.ts'
import type { Priority } from '../core/names.ts'
import type { AttemptOutcome } from '../core/outcome.ts'
import type { DeadReason } from '../core/verdict.ts'
import { decodePayload, InvalidPayload } from '../threads/payload.ts'
import type { LoggedLine } from './captured-context.ts'
import type { PublishedJob, StoredLetter } from './memory-job-store.ts'

/** A job that was enqueued in a test. */
export interface EnqueuedTestJob {
  readonly id: string
  readonly handler: string
  /** As the handler gets it, before its schema: JSON read back, or bytes. */
  readonly payload: unknown
  readonly priority: Priority
  readonly key: string | undefined
  /** Before that it does not start. */
  readonly runAt: Date | undefined
  /** After that it does not start. */
  readonly expiresAt: Date | undefined
  /** The application's own and Millrace's, names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** By the queue's clock. */
  readonly enqueuedAt: Date
}

/** An attempt that has ended. */
export interface TestAttempt {
  readonly jobId: string
  readonly handler: string
  readonly attempt: number
  readonly outcome: AttemptOutcome
  /** Its code and message, as they would be in the history of a dead letter. */
  readonly error: { readonly code: string; readonly message: string } | undefined
  /** What the handler threw, itself. */
  readonly thrown: unknown
  /** When it ended, by the queue's clock. */
  readonly at: Date
}

/** A job that completed. */
export interface CompletedTestJob {
  readonly id: string
  readonly handler: string
  readonly payload: unknown
  /** The attempt that completed. */
  readonly attempts: number
  /** What the handler returned, itself; with `result: true` or without. */
  readonly result: unknown
  readonly at: Date
}

/** A job that was given up on. */
export interface TestDeadLetter {
  readonly id: string
  readonly handler: string
  /** Undefined when the bytes are not what their content type says. */
  readonly payload: unknown
  readonly reason: DeadReason
  /** Attempts that ran. */
  readonly attempts: number
  readonly error: { readonly code: string; readonly message: string } | undefined
  readonly history: readonly HistoryEntry[]
  readonly headers: Readonly<Record<string, string>>
  readonly at: Date
}

/** A line that a handler logged. */
export interface TestLogLine extends LoggedLine {
  readonly jobId: string
  readonly handler: string
  readonly attempt: number
}

/** Headers by their names in lower case, without those of the server. */
export function headersOf(entries: readonly HeaderEntry[] | undefined): Record<string, string> {
  const kept = (entries ?? []).filter(([name]) => isKeptInDeadLetter(name))
  return Object.fromEntries(kept.map(([name, value]) => [name.toLowerCase(), value]))
}

/** A job as a test sees it; `stream` is where it was stored. */
export function enqueuedJobOf(job: PublishedJob, stream: string): EnqueuedTestJob {
  const headers = headersOf(job.headers)
  const dateOf = (name: string): Date | undefined =>
    headers[name] === undefined ? undefined : new Date(headers[name])
  return {
    id: job.id ?? `${stream}:${job.sequence}`,
    handler: job.handler,
    payload: payloadOf(job.data, headers),
    priority: job.priority,
    key: headers['millrace-key'],
    runAt: dateOf('millrace-run-at'),
    expiresAt: dateOf('millrace-expires-at'),
    headers,
    enqueuedAt: new Date(job.storedAt),
  }
}

/** A dead letter as a test sees it. */
export function testDeadLetterOf({ letter, headers: entries, data }: StoredLetter): TestDeadLetter {
  const headers = headersOf(entries)
  const { jobId, handler, reason, attempts, error, history, deadAt } = letter
  return {
    id: jobId,
    handler,
    payload: payloadOf(data, headers),
    reason,
    attempts,
    error: error && { code: error.code, message: error.message },
    history,
    headers,
    at: new Date(deadAt),
  }
}

/** What the bytes of a job say; undefined when they cannot be read. */
export function payloadOf(data: Uint8Array, headers: Readonly<Record<string, string>>): unknown {
  try {
    return decodePayload(Buffer.from(data), isJsonType(headers['content-type']))
  } catch (error) {
    if (error instanceof InvalidPayload) return undefined
    throw error
  }
}
