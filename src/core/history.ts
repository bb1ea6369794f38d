import { isRecord } from './field-checks.ts'
import { asciiJson, headerText } from './header-text.ts'
import { readWhereabouts, shortenStack, shortenWhereabouts, type Whereabouts } from './whereabouts.ts'

/** One attempt as a dead letter's `Millrace-History` tells it. */
export interface HistoryEntry {
  readonly attempt: number
  /** When it started, RFC 3339. */
  readonly at?: string
  readonly duration_ms?: number
  readonly outcome: string
  readonly error_code?: string
  readonly error?: string
  /** Where the error was made, innermost first; left out when a later attempt failed at the same place. */
  readonly stack?: readonly string[]
  readonly supervisor?: string
  readonly thread?: number
  /** Where it was shortly before its thread was killed for it. */
  readonly where?: Whereabouts
}

const limitBytes = 8 * 1024
/** What all stacks together may take of it: two long ones. */
const stacksBytes = 2.5 * 1024
/** A single message takes at most this share, so that several attempts fit. */
const messageCharacters = 400
/** Codes and names are shorter, unless somebody set out to fill the header with them. */
const nameCharacters = 128
const instantCharacters = 40

/**
 * Drops the oldest entries until the JSON of the rest fits a header: 8 KiB of printable ASCII. An entry goes without its
 * stack when a later one has the same, and when the stacks of later ones have filled their share.
 */
export function shortenHistory(entries: readonly HistoryEntry[]): HistoryEntry[] {
  // A single one fits always, and most jobs that fail do so once.
  if (entries.length === 1) {
    const { stack = [], ...entry } = shortenEntry(entries[0]!)
    return [stack.length > 0 ? { ...entry, stack } : entry]
  }
  // From the newest on, each encoded once: a publisher may send thousands of them.
  const kept: HistoryEntry[] = []
  const stacks = new Set<string>()
  let stackBytes = 0
  let bytes = '[]'.length
  for (let at = entries.length - 1; at >= 0; at -= 1) {
    const { stack, ...entry } = shortenEntry(entries[at]!)
    bytes += asciiJson(entry).length + (kept.length > 0 ? 1 : 0)
    const text = stack && stack.length > 0 ? `,"stack":${asciiJson(stack)}` : ''
    const isKept = text !== '' && !stacks.has(text) && stackBytes + text.length <= stacksBytes
    if (isKept) {
      stacks.add(text)
      stackBytes += text.length
    }
    if (bytes + stackBytes > limitBytes) break
    kept.push(isKept && stack ? { ...entry, stack } : entry)
  }
  return kept.reverse()
}

/** Escapes make at most six characters of one, so that a single entry always fits. */
function shortenEntry(entry: HistoryEntry): HistoryEntry {
  const { at, error, error_code: code, stack, supervisor, where } = entry
  return {
    ...entry,
    ...(at === undefined ? {} : { at: headerText(at, instantCharacters) }),
    outcome: headerText(entry.outcome, nameCharacters),
    ...(error === undefined ? {} : { error: headerText(error, messageCharacters) }),
    ...(code === undefined ? {} : { error_code: headerText(code, nameCharacters) }),
    ...(stack === undefined ? {} : { stack: shortenStack(stack) }),
    ...(where === undefined ? {} : { where: shortenWhereabouts(where) }),
    ...(supervisor === undefined ? {} : { supervisor: headerText(supervisor, nameCharacters) }),
  }
}

/** The header's value. */
export function encodeHistory(entries: readonly HistoryEntry[]): string {
  return asciiJson(entries)
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
  return Array.isArray(value) ? shortenHistory(value.map(withReadPlaces).filter(isEntry)) : []
}

/** An entry whose whereabouts or stack are none is kept without them. */
function withReadPlaces(value: unknown): unknown {
  if (!isRecord(value) || !('where' in value || 'stack' in value)) return value
  const { where, stack, ...rest } = value
  const read = readWhereabouts(where)
  const isStack = Array.isArray(stack) && stack.every((frame) => typeof frame === 'string')
  return { ...rest, ...(read ? { where: read } : {}), ...(isStack ? { stack } : {}) }
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
  stack: 'object',
  where: 'object',
}

function isEntry(value: unknown): value is HistoryEntry {
  if (typeof value !== 'object' || value === null || !('attempt' in value) || !('outcome' in value))
    return false
  return Object.entries(value).every(([name, field]) => typeof field === kinds[name])
}
