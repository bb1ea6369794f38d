import type { HeaderEntry } from './dead-letter.ts'
import { encodeHistory, type HistoryEntry, shortenHistory } from './history.ts'

/** A job on its way to the delayed stream, where it waits until it is due. */
export interface DelayedJob {
  readonly jobId: string
  /** Where it is published again. */
  readonly subject: string
  /** Where it is now, and since when: together they tell it from every other message. */
  readonly stream: string
  readonly sequence: number
  readonly storedAt: number
  /** Epoch milliseconds. */
  readonly enqueuedAt: number
  /** Epoch milliseconds. */
  readonly dueAt: number
  /** Attempts that have counted so far. */
  readonly attempts: number
  readonly history: readonly HistoryEntry[]
}

/** What a job carries while it waits and drops when it is published again. */
const dueAtHeader = 'Millrace-Due-At'
const dueIdHeader = 'Millrace-Due-Id'
/** What it keeps, so that its attempts count on; see `readJobHeaders`. */
const priorAttemptsHeader = 'Millrace-Prior-Attempts'
const priorHistoryHeader = 'Millrace-Prior-History'

/** Written at a move, so what an earlier move wrote is left out. */
const written = new Set(
  [
    'Millrace-Job-Id',
    'Millrace-Enqueued-At',
    dueAtHeader,
    dueIdHeader,
    priorAttemptsHeader,
    priorHistoryHeader,
  ].map((name) => name.toLowerCase()),
)

/**
 * The message id of a job that was moved, in the delayed stream and again in the job stream. A move that
 * is done twice stores one message; should the delayed stream hold two all the same, they come due
 * together, and the job stream takes one of them. When the message was stored tells streams apart that
 * had the same name.
 */
export function dueId(job: Pick<DelayedJob, 'stream' | 'sequence' | 'storedAt'>): string {
  return `due:${job.stream}:${job.sequence}:${job.storedAt}`
}

/** The headers of a job while it waits: its own, without those of the server, then what survives the move. */
export function delayedHeaders(job: DelayedJob, jobHeaders: readonly HeaderEntry[]): HeaderEntry[] {
  const headers = jobHeaders.filter(([name]) => !isServers(name) && !written.has(name.toLowerCase()))
  headers.push(
    ['Millrace-Job-Id', job.jobId],
    ['Millrace-Enqueued-At', new Date(job.enqueuedAt).toISOString()],
    [dueAtHeader, new Date(job.dueAt).toISOString()],
    [dueIdHeader, dueId(job)],
    [priorAttemptsHeader, String(job.attempts)],
  )
  if (job.history.length > 0) headers.push([priorHistoryHeader, encodeHistory(shortenHistory(job.history))])
  return headers
}

/** A message of the delayed stream that is to be published as a job again. */
export interface DueJob {
  /** Epoch milliseconds; 0 when it is due already. */
  readonly dueAt: number
  /** Its message id in the job stream. */
  readonly id: string
  readonly headers: readonly HeaderEntry[]
}

/**
 * Reads a message of the delayed stream. One that somebody else put there is a job like any other: what
 * it lacks is filled in from where and when it was stored.
 */
export function readDueJob(
  message: { readonly stream: string; readonly sequence: number; readonly storedAt: number },
  entries: readonly HeaderEntry[],
): DueJob {
  const value = (wanted: string): string | undefined =>
    entries.find(([name]) => name.toLowerCase() === wanted.toLowerCase())?.[1]
  const headers = entries.filter(([name]) => {
    const lower = name.toLowerCase()
    return !isServers(name) && lower !== dueAtHeader.toLowerCase() && lower !== dueIdHeader.toLowerCase()
  })
  const add = (name: string, otherwise: string): void => {
    if (value(name) === undefined) headers.push([name, otherwise])
  }
  add('Millrace-Job-Id', value('Nats-Msg-Id') ?? `${message.stream}:${message.sequence}`)
  add('Millrace-Enqueued-At', new Date(message.storedAt).toISOString())
  add(priorAttemptsHeader, '0')
  const dueAt = Date.parse(value(dueAtHeader) ?? value('Millrace-Run-At') ?? '')
  return { dueAt: Number.isNaN(dueAt) ? 0 : dueAt, id: value(dueIdHeader) ?? dueId(message), headers }
}

/** Every `Nats-*` header means something to the server, and the next stream would act on it. */
function isServers(name: string): boolean {
  return name === '' || name.toLowerCase().startsWith('nats-')
}
