import { headerText } from './header-text.ts'

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
}

const limitBytes = 8 * 1024
/** A single message takes at most this share, so that several attempts fit. */
const messageCharacters = 400

/** Drops the oldest entries until the JSON of the rest fits a header: 8 KiB of printable ASCII. */
export function shortenHistory(entries: readonly HistoryEntry[]): HistoryEntry[] {
  const kept = entries.map((entry) =>
    entry.error === undefined ? entry : { ...entry, error: headerText(entry.error, messageCharacters) },
  )
  while (kept.length > 1 && encodeHistory(kept).length > limitBytes) kept.shift()
  return kept
}

/** The header's value: JSON on one line, everything outside printable ASCII escaped. */
export function encodeHistory(entries: readonly HistoryEntry[]): string {
  return JSON.stringify(entries).replace(
    /[^\x20-\x7e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
