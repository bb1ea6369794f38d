import { checkSelection, type DeadLetterSelection } from '../client/dead-letters.ts'
import { deadReasons } from '../core/verdict.ts'
import { type Console, type Flag, type Typed, usageError } from './command.ts'
import { readDuration } from './duration.ts'

/** Which dead letters a command is about. */
export const selectionFlags: Readonly<Record<string, Flag>> = {
  handler: { value: '<handler>', help: 'only those of this handler' },
  reason: {
    value: '<reason>',
    choices: deadReasons,
    help: 'only those with this reason, such as exhausted or expired',
  },
  since: {
    value: '<duration|instant>',
    help: 'only those that died in the last 30m, 2h, or since 2026-01-31T12:00:00Z',
  },
  error: { value: '<text>', help: 'only those whose error code or message contains this' },
  limit: { value: '<count>', help: 'no more than the oldest so many' },
}

/** What the commands say about their arguments. */
export const whichHelp =
  'Without arguments and flags these are all dead letters. An argument is the sequence of a dead letter or the id\n' +
  'of a job; what is only digits is a sequence if there is one.'

/** What was typed, as a selection; `missing` is filled while it is read. */
export function readSelection(typed: Typed, missing: string[] = []): DeadLetterSelection {
  const { positionals } = typed
  const selection: DeadLetterSelection = {
    which: positionals.length > 0 ? positionals : undefined,
    handler: typed.text('handler'),
    reason: typed.text('reason'),
    since: readSince(typed.text('since')),
    error: typed.text('error'),
    limit: readNumber('--limit', typed.text('limit'), /^[1-9]\d{0,14}$/, 'a whole number of at least 1'),
    onMissing: (which) => missing.push(which),
  }
  checkSelection(selection)
  return selection
}

/** Says which of the arguments there is no dead letter of. */
export function narrateMissing(missing: readonly string[], console: Console): void {
  for (const which of missing) console.narrate(`there is no dead letter ${which}`)
}

/** The number that a flag is given. */
export function readNumber(
  flag: string,
  text: string | undefined,
  form: RegExp,
  must: string,
): number | undefined {
  if (text === undefined) return undefined
  if (!form.test(text)) throw usageError(`${flag} must be ${must}, got ${JSON.stringify(text)}`)
  return Number(text)
}

function readSince(text: string | undefined): Date | undefined {
  if (text === undefined) return undefined
  if (/^\d+[a-z]+$/.test(text)) return new Date(Date.now() - readDuration('--since', text))
  const at = /^\d{4}-\d\d-\d\d([Tt ].+)?$/.test(text) ? new Date(text) : new Date(Number.NaN)
  if (!Number.isNaN(at.getTime())) return at
  throw usageError(
    `--since must be a duration such as 30m or 2h, or an instant such as 2026-01-31T12:00:00Z, got ${JSON.stringify(text)}`,
  )
}
