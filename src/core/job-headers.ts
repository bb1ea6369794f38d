import { utf8Bytes } from './header-text.ts'
import { type HistoryEntry, readHistory } from './history.ts'
import { parseInstant } from './instant.ts'

/** What a job's headers ask for, once they are understood. */
export interface JobHeaders {
  /** The job's id, when a header gives one. */
  readonly id: string | undefined
  readonly deadlineMs: number | undefined
  readonly maxAttempts: number | undefined
  /** Epoch milliseconds. */
  readonly expiresAt: number | undefined
  /** Epoch milliseconds. */
  readonly runAt: number | undefined
  /** When the job was first enqueued, if it has moved since; epoch milliseconds. */
  readonly enqueuedAt: number | undefined
  /** Attempts that counted before it was moved here; undefined when it was not moved. */
  readonly priorAttempts: number | undefined
  readonly priorHistory: readonly HistoryEntry[]
  /** Jobs of one handler with the same key run one at a time, in order. */
  readonly key: string | undefined
  /** The instant that a scheduled job stands for; epoch milliseconds. */
  readonly tick: number | undefined
  /** The payload is JSON unless `content-type` names something else. */
  readonly json: boolean
}

/** A longer id is in no log line and no dead letter: together with what else is written there it might not fit. */
const longestIdBytes = 2_048
/** As many headers may an application give a job: copying more would cost more than the job. */
export const mostHeaders = 256
/** And as many may there be of ours and of the server's, `Millrace-*` and `Nats-*`. */
export const mostOwnHeaders = 48

/** Headers by lower-case name, repeated ones joined with `, `. */
export type PlainHeaders = Readonly<Record<string, string>>

export const noHeaders: JobHeaders = {
  id: undefined,
  deadlineMs: undefined,
  maxAttempts: undefined,
  expiresAt: undefined,
  runAt: undefined,
  enqueuedAt: undefined,
  priorAttempts: undefined,
  priorHistory: [],
  key: undefined,
  tick: undefined,
  json: true,
}

/**
 * Reads the headers that Millrace knows. What cannot be understood is a problem, in words that name
 * the header and never quote more than 64 characters of its value.
 */
export function readJobHeaders(headers: PlainHeaders): { headers: JobHeaders; problem: string | undefined } {
  let problem: string | undefined
  const refuse = (name: string, must: string, value: string): undefined => {
    problem ??= `${name} must be ${must}, got ${JSON.stringify(value.slice(0, 64))}`
    return undefined
  }
  const wholeNumber = (name: string, value: string | undefined, least: number): number | undefined => {
    if (value === undefined) return undefined
    const number = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN
    return number >= least ? number : refuse(name, `a whole number of at least ${least}`, value)
  }
  const instant = (name: string, value: string | undefined): number | undefined => {
    if (value === undefined) return undefined
    const at = parseInstant(value)
    return Number.isNaN(at) ? refuse(name, 'an RFC 3339 instant such as 2026-01-31T12:00:00Z', value) : at
  }
  const text = (name: string): string | undefined => {
    const value = headers[name.toLowerCase()]
    if (value === undefined || utf8Bytes(value) <= longestIdBytes) return value || undefined
    return refuse(name, `text of at most ${longestIdBytes} bytes`, value)
  }
  const key = headers['millrace-key']
  if (key !== undefined && hasControlCharacter(key)) {
    refuse('Millrace-Key', 'text without control characters', key)
  }
  const read: JobHeaders = {
    id: text('Millrace-Job-Id') ?? text('Nats-Msg-Id'),
    deadlineMs: wholeNumber('Millrace-Deadline-Ms', headers['millrace-deadline-ms'], 10),
    maxAttempts: wholeNumber('Millrace-Max-Attempts', headers['millrace-max-attempts'], 1),
    expiresAt: instant('Millrace-Expires-At', headers['millrace-expires-at']),
    runAt: instant('Millrace-Run-At', headers['millrace-run-at']),
    enqueuedAt: instant('Millrace-Enqueued-At', headers['millrace-enqueued-at']),
    priorAttempts: wholeNumber('Millrace-Prior-Attempts', headers['millrace-prior-attempts'], 0),
    priorHistory: readHistory(headers['millrace-prior-history']),
    key: key === '' ? undefined : key,
    tick: instant('Millrace-Tick', headers['millrace-tick']),
    json: isJsonType(headers['content-type']),
  }
  return { headers: read, problem }
}

function hasControlCharacter(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at)
    if (code < 32 || code === 127) return true
  }
  return false
}

/** Whether a payload of this `content-type` is parsed as JSON. */
export function isJsonType(contentType: string | undefined): boolean {
  if (contentType === undefined) return true
  const type = contentType.split(';', 1)[0]!.trim().toLowerCase()
  return type === '' || type === 'application/json' || type === 'text/json' || type.endsWith('+json')
}
