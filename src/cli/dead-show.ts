import type { DeadLetterRecord } from '../core/dead-letter-record.ts'
import type { HistoryEntry } from '../core/history.ts'
import { decodeUtf8, payloadText } from '../core/payload-text.ts'
import { whereaboutsText } from '../core/whereabouts.ts'
import { type Command, cliExitCodes } from './command.ts'
import { contentTypeOf, deadLetterJson } from './dead-letter-json.ts'
import { tableOf } from './table.ts'
import { terminalText } from './terminal-text.ts'
import { withClient } from './with-client.ts'

/** `millrace dead show`: all that a dead letter says. */
export const deadShow: Command = {
  name: 'dead show',
  arguments: '<sequence|job id>',
  takes: [1, 1],
  summary: 'show a dead letter with its history and its headers',
  details:
    'What is only digits is the sequence of a dead letter if there is one, anything else the id of a job; of a job\n' +
    'that has several, the newest is shown. Exits with 3 when there is none.',
  flags: { payload: { help: 'the payload, too' } },
  example: 'millrace dead show 12 --payload',

  async run(typed, console) {
    const { positionals, json, texts } = typed
    const withPayload = texts('payload').length > 0
    const letters: DeadLetterRecord[] = []
    await withClient(typed, async (client) => {
      for await (const page of client.deadLetters.pages({ which: positionals }, { payloads: true }))
        letters.push(...page)
    })
    const letter = letters.at(-1)
    if (!letter) {
      console.narrate(`there is no dead letter ${positionals[0]}`)
      return cliExitCodes.notFound
    }
    console.print(json ? deadLetterJson(letter, withPayload) : describe(letter, withPayload))
    if (letters.length > 1) {
      const all = letters.map(({ sequence }) => sequence).join(', ')
      console.narrate(
        `${letter.jobId} has ${letters.length} dead letters: ${all}; this is ${letter.sequence}`,
      )
    }
    return cliExitCodes.ok
  },
}

function describe(letter: DeadLetterRecord, withPayload: boolean): string {
  const { errorCode, errorMessage, history, stored } = letter
  const facts: [string, unknown][] = [
    ['sequence', letter.sequence],
    ['job id', letter.jobId],
    ['handler', letter.handler],
    ['reason', letter.reason],
    ['error', errorCode === undefined ? undefined : `${errorCode}: ${errorMessage ?? ''}`],
    ['attempts', letter.attempts],
    ['replays', letter.replays],
    ['dead at', letter.deadAt?.toISOString()],
    ['subject', letter.jobSubject],
    [
      'payload',
      `${stored.data.length} bytes of ${contentTypeOf(letter) ?? 'JSON'}${withPayload ? '' : ', see --payload'}`,
    ],
  ]
  const lines = facts.map(([title, value]) => `${title.padEnd(10)}${terminalText(String(value ?? '-'))}`)
  if (history.length > 0) {
    const rows = history.map(({ attempt, at, outcome, duration_ms, error_code, error }) => ({
      attempt,
      at,
      outcome,
      duration_ms,
      error: error_code === undefined ? error : `${error_code}: ${error ?? ''}`,
    }))
    lines.push('', 'history', indented(tableOf(rows)), ...history.flatMap(placeLines))
  }
  const headers = stored.headers.filter(([name]) => name.toLowerCase() !== 'millrace-history')
  if (headers.length > 0)
    lines.push(
      '',
      'headers',
      ...headers.map(([name, value]) => `  ${terminalText(name)}: ${terminalText(value)}`),
    )
  if (withPayload && stored.data.length > 0) lines.push('', 'payload', payloadOf(letter))
  return lines.join('\n')
}

/** Where an attempt failed, or was when its thread was about to be killed; the whole stack, innermost first. */
function placeLines({ attempt, stack: thrown, where }: HistoryEntry): string[] {
  if (!where) return thrown ? ['', `attempt ${attempt} failed`, ...thrown.map(frameLine)] : []
  const { kind, stack = [] } = where
  if (kind === 'unknown') return ['', `attempt ${attempt} could not be asked where it was`]
  const doing = kind === 'running' || kind === 'behind' ? whereTitles[kind] : whereaboutsText(where)
  return ['', `attempt ${attempt} was ${doing}`, ...stack.map(frameLine)]
}

function frameLine(frame: string): string {
  return `  at ${terminalText(frame)}`
}

const whereTitles = { running: 'running', behind: 'kept from going on by code of another job' } as const

/** As it is where it is text, without what could write elsewhere on a terminal; else in base64. */
function payloadOf(letter: DeadLetterRecord): string {
  const text = decodeUtf8(letter.stored.data)
  if (text !== undefined) return text.replace(/[^\P{Cc}\n\t]/gu, ' ')
  return `base64 ${payloadText(letter.stored.data, undefined).json}`
}

function indented(text: string): string {
  return text.replace(/^/gm, '  ')
}
