import type { HeaderEntry } from './dead-letter.ts'
import { type HistoryEntry, readHistory } from './history.ts'
import type { DeadLetterPlace } from './replay.ts'

/** A message of the stream of dead letters, as it is stored. */
export interface StoredDeadLetter extends DeadLetterPlace {
  readonly subject: string
  /** In order and as often as they are there. */
  readonly headers: readonly HeaderEntry[]
  /** The job's own bytes; empty when they were not asked for. */
  readonly data: Uint8Array
}

/** What a dead letter says. A field is undefined when the message, which anybody may have stored, lacks it. */
export interface DeadLetterRecord {
  readonly sequence: number
  readonly handler: string
  readonly jobId: string | undefined
  /** One of `deadReasons`, unless somebody else wrote it. */
  readonly reason: string | undefined
  /** Attempts that ran. */
  readonly attempts: number | undefined
  readonly deadAt: Date | undefined
  readonly errorCode: string | undefined
  readonly errorMessage: string | undefined
  /** Where the job was, and where a replay publishes it. */
  readonly jobSubject: string | undefined
  readonly replays: number
  readonly history: readonly HistoryEntry[]
  readonly stored: StoredDeadLetter
}

/** Reads a dead letter; `handler` is what its subject says. */
export function readDeadLetter(stored: StoredDeadLetter, handler: string): DeadLetterRecord {
  const value = (wanted: string): string | undefined =>
    stored.headers.find(([name]) => name.toLowerCase() === wanted)?.[1]
  const number = (text: string | undefined): number | undefined =>
    text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined
  const deadAt = new Date(value('millrace-dead-at') ?? Number.NaN)
  return {
    sequence: stored.sequence,
    handler,
    jobId: value('millrace-job-id'),
    reason: value('millrace-dead-reason'),
    attempts: number(value('millrace-attempts')),
    deadAt: Number.isNaN(deadAt.getTime()) ? undefined : deadAt,
    errorCode: value('millrace-error-code'),
    errorMessage: value('millrace-error-message'),
    jobSubject: value('millrace-subject'),
    replays: number(value('millrace-replays')) ?? 0,
    history: readHistory(value('millrace-history')),
    stored,
  }
}

/** Which dead letters are meant. What is left out does not narrow the choice. */
export interface DeadLetterFilter {
  readonly handler?: string | undefined
  readonly reason?: string | undefined
  /** Died then or later. */
  readonly since?: Date | undefined
  /** Part of the code or the message of its error, whatever the case. */
  readonly error?: string | undefined
}

/** Whether a dead letter is one of those that are meant. */
export function isMeant(letter: DeadLetterRecord, filter: DeadLetterFilter): boolean {
  const { handler, reason, since, error } = filter
  if (handler !== undefined && letter.handler !== handler) return false
  if (reason !== undefined && letter.reason !== reason) return false
  if (since !== undefined && !(letter.deadAt && letter.deadAt >= since)) return false
  if (error === undefined) return true
  const part = error.toLowerCase()
  return [letter.errorCode, letter.errorMessage].some((text) => text?.toLowerCase().includes(part))
}
