import { usageError } from './command.ts'

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

/**
 * Milliseconds of `500ms`, `2s`, `5m` or `1h`.
 *
 * @throws {MillraceError} `invalid_arguments` for anything else.
 */
export function readDuration(flag: string, text: string): number {
  const [, digits, unit] = /^(\d{1,12})(ms|s|m|h)$/.exec(text) ?? []
  if (digits === undefined || unit === undefined)
    throw usageError(`${flag} must be a duration such as 500ms, 2s, 5m or 1h, got ${JSON.stringify(text)}`)
  return Number(digits) * unitMs[unit]!
}
