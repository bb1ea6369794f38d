import type { WaitingRetry } from '../client/retries.ts'
import { type Command, type Console, cliExitCodes } from './command.ts'
import { readNumber } from './dead-selection.ts'
import { JsonArray } from './json-array.ts'
import { instantText, PrintedTable } from './print-table.ts'
import { withClient } from './with-client.ts'

/** `millrace retries ls`: which jobs wait for another attempt, and why. */
export const retriesLs: Command = {
  name: 'retries ls',
  arguments: '',
  takes: [0, 0],
  summary: 'list jobs that wait for another attempt',
  details:
    'With the error of the last attempt and when the next one is due; those that failed first come first. One whose\n' +
    'time has come runs, or is about to. A job whose process died without a word has no record yet: millrace status\n' +
    'counts it among the redelivered ones.',
  flags: {
    handler: { value: '<handler>', help: 'only those of this handler' },
    limit: { value: '<count>', help: 'no more than so many; 100 when it is left out' },
  },
  example: 'millrace retries ls --handler email.send',

  async run(typed, console) {
    const { json, text } = typed
    const must = 'a whole number of at least 1'
    const limit = readNumber('--limit', text('limit'), /^[1-9]\d{0,14}$/, must)
    const array = new JsonArray(console)
    const table = new PrintedTable(console, (title, { due }) =>
      title === 'due' && due === 'now' ? 'yellow' : undefined,
    )
    let count = 0
    let isCut = false
    const onMore = (): void => {
      isCut = true
    }
    await withClient(typed, async (client) => {
      for await (const page of client.retries({ handler: text('handler'), limit, onMore })) {
        count += page.length
        if (json) await array.add(page.map((retry) => JSON.stringify(rowOf(retry))))
        else table.add(page.map((retry) => lineOf(retry, console)))
        await console.taken()
      }
    })
    if (json) array.end()
    else if (count === 0) console.narrate('no job waits for another attempt')
    if (isCut)
      console.narrate('there may be more; --limit shows more of them, --handler those of one handler')
    return cliExitCodes.ok
  },
}

function rowOf(retry: WaitingRetry) {
  return {
    handler: retry.handler,
    job_id: retry.jobId,
    stream: retry.stream,
    seq: retry.sequence,
    attempts: retry.attempts,
    due_at: retry.dueAt?.toISOString() ?? null,
    last_attempt_at: retry.lastAttemptAt?.toISOString() ?? null,
    outcome: retry.outcome ?? null,
    error_code: retry.errorCode ?? null,
    error_message: retry.errorMessage ?? null,
  }
}

function lineOf(retry: WaitingRetry, console: Console) {
  const { errorCode, errorMessage } = retry
  return {
    handler: retry.handler,
    job_id: retry.jobId,
    attempts: retry.attempts,
    due: retry.dueAt === undefined ? null : dueText(retry.dueAt.getTime() - Date.now()),
    last_attempt_at: instantText(retry.lastAttemptAt, console),
    error: errorCode === undefined ? errorMessage : `${errorCode}: ${errorMessage ?? ''}`,
  }
}

function dueText(inMs: number): string {
  if (inMs <= 0) return 'now'
  const seconds = Math.ceil(inMs / 1_000)
  if (seconds < 120) return `in ${seconds}s`
  return seconds < 7_200 ? `in ${Math.ceil(seconds / 60)}m` : `in ${Math.ceil(seconds / 3_600)}h`
}
