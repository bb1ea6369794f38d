import type { HeaderEntry } from './dead-letter.ts'
import type { PlainHeaders } from './job-headers.ts'

/** Which dead letter it is. A stream that is made anew counts from 1 again, so a sequence alone does not say. */
export interface DeadLetterPlace {
  /** The stream of dead letters. */
  readonly stream: string
  readonly sequence: number
  /** When the broker stored it; epoch milliseconds. */
  readonly storedAt: number
}

/** The header by which the jobs of one dead letter, should there be several, are known to be the same. */
const replayOfHeader = 'Millrace-Replay-Of'

/** What a death has added, a move has added, or a replay writes itself. */
const dropped = new Set([
  'millrace-subject',
  'millrace-stream',
  'millrace-sequence',
  'millrace-attempts',
  'millrace-deliveries',
  'millrace-history',
  'millrace-prior-attempts',
  'millrace-prior-history',
  'millrace-due-at',
  'millrace-due-id',
  'millrace-replays',
  'millrace-replay-of',
])
const droppedPrefixes = ['nats-', 'millrace-dead-', 'millrace-error-']

/**
 * The headers of a job that is published again: those of the dead letter without what the death had added.
 *
 * The job's id, when it was enqueued and the application's own headers stay; attempts count from 1 again. An
 * expiry that has passed is dropped, because the job could only expire once more.
 */
export function replayHeaders(
  place: DeadLetterPlace,
  deadHeaders: readonly HeaderEntry[],
  nowMs: number,
): HeaderEntry[] {
  const headers = deadHeaders.filter(([name, value]) => {
    const lower = name.toLowerCase()
    if (lower === '' || dropped.has(lower) || droppedPrefixes.some((prefix) => lower.startsWith(prefix)))
      return false
    return !(lower === 'millrace-expires-at' && Date.parse(value) <= nowMs)
  })
  headers.push(
    ['Millrace-Replays', String(replaysOf(deadHeaders) + 1)],
    [replayOfHeader, `${place.stream}:${place.sequence}:${place.storedAt}`],
  )
  return headers
}

function replaysOf(headers: readonly HeaderEntry[]): number {
  const value = headers.find(([name]) => name.toLowerCase() === 'millrace-replays')?.[1] ?? ''
  return /^\d{1,9}$/.test(value) ? Number(value) : 0
}

/**
 * The message id of a replay. `always` is added when the stream of jobs says that it has had that id, and cannot
 * say for which dead letter: another one of that sequence may have been replayed a moment ago, from a stream of
 * dead letters that was made anew since.
 */
export function replayId({ stream, sequence, storedAt }: DeadLetterPlace, always = false): string {
  return always ? `replay:${stream}:${sequence}:${storedAt}` : `replay:${stream}:${sequence}`
}

/** Whether a job was published for this dead letter. */
export function isReplayOf(place: DeadLetterPlace, headers: readonly HeaderEntry[]): boolean {
  const wanted = `${place.stream}:${place.sequence}:${place.storedAt}`
  return headers.some(([name, value]) => name.toLowerCase() === 'millrace-replay-of' && value === wanted)
}

/**
 * Which dead letter a job was published for; undefined for every other job. The message id has to agree: a
 * handler may copy the headers of its job to another one, and that is no replay.
 */
export function replayOfJob(headers: PlainHeaders): DeadLetterPlace | undefined {
  const [, stream, sequence, storedAt] =
    /^([A-Z0-9-]+_DEAD):(\d{1,16}):(\d{1,16})$/.exec(headers['millrace-replay-of'] ?? '') ?? []
  if (stream === undefined) return undefined
  const place = { stream, sequence: Number(sequence), storedAt: Number(storedAt) }
  const id = headers['nats-msg-id']
  return id === replayId(place) || id === replayId(place, true) ? place : undefined
}
