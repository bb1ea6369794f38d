import { type Command, cliExitCodes } from './command.ts'
import { deadLetterRow } from './dead-letter-json.ts'
import { narrateMissing, readSelection, selectionFlags, whichHelp } from './dead-selection.ts'
import { JsonArray } from './json-array.ts'
import { instantText, PrintedTable } from './print-table.ts'
import type { CellPaint } from './table.ts'
import { withClient } from './with-client.ts'

/** `millrace dead ls`: one line for each dead letter. */
export const deadLs: Command = {
  name: 'dead ls',
  arguments: '[sequence|job id]...',
  takes: [0, Number.POSITIVE_INFINITY],
  summary: 'list dead letters, the oldest first',
  details: whichHelp,
  flags: selectionFlags,
  example: 'millrace dead ls --handler email.send --since 2h',

  async run(typed, console) {
    const missing: string[] = []
    const selection = readSelection(typed, missing)
    const array = new JsonArray(console)
    const table = new PrintedTable(console, paintOf)
    let count = 0
    await withClient(typed, async (client) => {
      for await (const page of client.deadLetters.pages(selection)) {
        count += page.length
        const rows = page.map(deadLetterRow)
        if (typed.json) await array.add(rows.map((row) => JSON.stringify(row)))
        else
          table.add(
            rows.map(({ error_code, error_message, dead_at, ...row }) => ({
              ...row,
              dead_at: instantText(dead_at, console),
              error: errorOf(error_code, error_message),
            })),
          )
        await console.taken()
      }
    })
    if (typed.json) array.end()
    else if (count === 0) console.narrate('no dead letter')
    narrateMissing(missing, console)
    return missing.length > 0 ? cliExitCodes.notFound : cliExitCodes.ok
  },
}

/** Nobody is to blame for what came too late or was cancelled. */
const paintOf: CellPaint = (title, { reason }) => {
  if (title !== 'reason') return undefined
  return reason === 'expired' || reason === 'cancelled' ? 'yellow' : 'red'
}

function errorOf(code: string | null, message: string | null): string | null {
  return code === null ? message : `${code}: ${message ?? ''}`
}
