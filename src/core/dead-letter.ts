import { headerTextWithin, utf8Bytes } from './header-text.ts'
import { encodeHistory, type HistoryEntry, shortenHistory } from './history.ts'
import type { AttemptError } from './outcome.ts'
import type { DeadReason } from './verdict.ts'

/** Everything that the record of a given-up job says about it. */
export interface DeadLetter {
  readonly handler: string
  readonly reason: DeadReason
  readonly jobId: string
  readonly subject: string
  readonly stream: string
  readonly sequence: number
  /** Attempts that ran; 0 for a job that never did. */
  readonly attempts: number
  readonly deliveries: number
  /** Epoch milliseconds. */
  readonly enqueuedAt: number
  /** Epoch milliseconds. */
  readonly deadAt: number
  readonly error: AttemptError | undefined
  readonly history: readonly HistoryEntry[]
  /** How many of the application's headers were too many to be read. */
  readonly headersUnread: number
}

/** How many of the application's headers a dead letter lacks; not there when it has them all. */
const droppedHeader = 'Millrace-Headers-Dropped'

/** One header, as often as it is repeated. */
export type HeaderEntry = readonly [name: string, value: string]

/**
 * The headers of a dead letter: the application's own, then ours.
 *
 * No `Nats-*` header is copied (a stray `Nats-Rollup` would purge the stream), and none of ours from an
 * earlier death, except how often the job was replayed. Our headers together stay below 12 KiB, so
 * that a dead letter of the largest job still fits the 16 KiB that the job stream leaves free.
 */
export function deadLetterHeaders(letter: DeadLetter, jobHeaders: readonly HeaderEntry[]): HeaderEntry[] {
  const headers = jobHeaders.filter(([name]) => isKeptInDeadLetter(name))
  const add = (name: string, value: string | number): void => {
    headers.push([name, String(value)])
  }
  add('Millrace-Dead-Reason', letter.reason)
  add('Millrace-Job-Id', letter.jobId)
  add('Millrace-Subject', letter.subject)
  add('Millrace-Stream', letter.stream)
  add('Millrace-Sequence', letter.sequence)
  add('Millrace-Attempts', letter.attempts)
  add('Millrace-Deliveries', letter.deliveries)
  add('Millrace-Enqueued-At', new Date(letter.enqueuedAt).toISOString())
  add('Millrace-Dead-At', new Date(letter.deadAt).toISOString())
  if (letter.error) {
    add('Millrace-Error-Code', headerTextWithin(letter.error.code, 64))
    add('Millrace-Error-Message', headerTextWithin(letter.error.message, 1024))
  }
  add('Millrace-History', encodeHistory(shortenHistory(letter.history)))
  if (letter.headersUnread > 0) add(droppedHeader, letter.headersUnread)
  return headers
}

/** What the protocol writes around all headers, and around each: version, ends of lines, colon and space. */
const frameBytes = 12
const lineBytes = 4

/** How long the header block is that holds these. */
export function headerBlockBytes(headers: readonly HeaderEntry[]): number {
  return headers.reduce(
    (sum, [name, value]) => sum + utf8Bytes(name) + utf8Bytes(value) + lineBytes,
    frameBytes,
  )
}

/**
 * Leaves out as many of the application's headers as it takes to make a dead letter's block fit, the largest
 * first, and counts them in `Millrace-Headers-Dropped`. The server takes no block beyond 64 KiB, and a job may
 * have come with one that is almost as large: without this its dead letter could never be stored.
 */
export function fitHeaders(headers: readonly HeaderEntry[], limitBytes: number): readonly HeaderEntry[] {
  let bytes = headerBlockBytes(headers)
  if (bytes <= limitBytes) return headers
  const sizeOf = ([name, value]: HeaderEntry): number => utf8Bytes(name) + utf8Bytes(value) + lineBytes
  const theirs = headers.filter(([name]) => isKeptInDeadLetter(name)).sort((a, b) => sizeOf(b) - sizeOf(a))
  const before = headers.find(([name]) => name === droppedHeader)
  const countOf = (more: number): HeaderEntry => [droppedHeader, String(Number(before?.[1] ?? 0) + more)]
  bytes += sizeOf(countOf(theirs.length)) - (before ? sizeOf(before) : 0)
  const dropped = new Set<HeaderEntry>()
  for (const entry of theirs) {
    if (bytes <= limitBytes) break
    dropped.add(entry)
    bytes -= sizeOf(entry)
  }
  return [...headers.filter((entry) => entry !== before && !dropped.has(entry)), countOf(dropped.size)]
}

/** The dedupe key of a dead letter. `incarnation` is added when another stream of that name used it before. */
export function deadLetterId(stream: string, sequence: number, incarnation?: number): string {
  return incarnation === undefined
    ? `dead:${stream}:${sequence}`
    : `dead:${stream}:${sequence}:${incarnation}`
}

const rewritten = new Set([
  'millrace-dead-reason',
  'millrace-job-id',
  'millrace-subject',
  'millrace-stream',
  'millrace-sequence',
  'millrace-attempts',
  'millrace-deliveries',
  'millrace-enqueued-at',
  'millrace-dead-at',
  'millrace-error-code',
  'millrace-error-message',
  'millrace-history',
  'millrace-prior-attempts',
  'millrace-prior-history',
  'millrace-due-at',
  'millrace-due-id',
  'millrace-headers-dropped',
  'millrace-replay-of',
])

/** Whether a job's header goes into its dead letter as it is: it is neither the server's nor written anew. */
export function isKeptInDeadLetter(name: string): boolean {
  const lower = name.toLowerCase()
  return lower !== '' && !lower.startsWith('nats-') && !rewritten.has(lower)
}
