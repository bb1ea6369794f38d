import { isRecord } from './field-checks.ts'
import { headerText } from './header-text.ts'
import { readWhereabouts, shortenWhereabouts, type Whereabouts } from './whereabouts.ts'

/** One attempt as a dead letter's `Millrace-History` tells it. */
export interface HistoryEntry {
  readonly attempt: number
  /** When it started, RFC 3339. */
  readonly at?: string
  readonly duration_ms?: number
  readonly outcome: string
  readonly error_code?: string
  readonly error?: string
  readonly supervisor?: string
  readonly thread?: number
  /** Where it was shortly before its thread was killed for it. */
  readonly where?: Whereabouts
}

const limitBytes = 8 * 1024
/** A single message takes at most this share, so that several attempts fit. */
const messageCharacters = 400
/** Codes and names are shorter, unless somebody set out to fill the header with them. */
const nameCharacters = 128

/** Drops the oldest entries until the JSON of the rest fits a header: 8 KiB of printable ASCII. */
export function shortenHistory(entries: readonly HistoryEntry[]): HistoryEntry[] {
  // From the newest on, each encoded once: a publisher may send thousands of them.
  const kept: HistoryEntry[] = []
  let bytes = '[]'.length
  for (let at = entries.length - 1; at >= 0; at -= 1) {
    const entry = shortenEntry(entries[at]!)
    bytes += encodeAscii(entry).length + (kept.length > 0 ? 1 : 0)
    if (bytes > limitBytes) break
    kept.push(entry)
  }
  return kept.reverse()
}

/** Escapes make at most six characters of one, so that a single entry always fits. */
function shortenEntry(entry: HistoryEntry): HistoryEntry {
  const { error, error_code: code, supervisor, where } = entry
  return {
    ...entry,
    outcome: headerText(entry.outcome, nameCharacters),
    ...(error === undefined ? {} : { error: headerText(error, messageCharacters) }),
    ...(code === undefined ? {} : { error_code: headerText(code, nameCharacters) }),
    ...(where === undefined ? {} : { where: shortenWhereabouts(where) }),
    ...(supervisor === undefined ? {} : { supervisor: headerText(supervisor, nameCharacters) }),
  }
}

/** The header's value: JSON on one line, everything outside printable ASCII escaped. */
export function encodeHistory(entries: readonly HistoryEntry[]): string {
  return encodeAscii(entries)
}

function encodeAscii(value: unknown): string {
  return JSON.stringify(value).replace(
    /[^\x20-\x7e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** Reads `encodeHistory`'s text. What is not a history is none: no job is given up for its past. */
export function readHistory(text: string | undefined): HistoryEntry[] {
  if (text === undefined) return []
  try {
    return historyOf(JSON.parse(text))
  } catch {
    return []
  }
}

/** The entries of a history among whatever somebody stored as one. */
export function historyOf(value: unknown): HistoryEntry[] {
  return Array.isArray(value) ? shortenHistory(value.map(withReadWhere).filter(isEntry)) : []
}

/** An entry whose whereabouts are none is kept without them. */
function withReadWhere(value: unknown): unknown {
  if (!isRecord(value) || !('where' in value)) return value
  const { where, ...rest } = value
  const read = readWhereabouts(where)
  return read ? { ...rest, where: read } : rest
}

const kinds: Readonly<Record<string, string>> = {
  attempt: 'number',
  at: 'string',
  duration_ms: 'number',
  outcome: 'string',
  error_code: 'string',
  error: 'string',
  supervisor: 'string',
  thread: 'number',
  where: 'object',
}

function isEntry(value: unknown): value is HistoryEntry {
  if (typeof value !== 'object' || value === null || !('attempt' in value) || !('outcome' in value))
    return false
  return Object.entries(value).every(([name, field]) => typeof field === kinds[name])
}
