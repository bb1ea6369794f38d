import { type Command, cliExitCodes } from './command.ts'
import { deadLetterJson } from './dead-letter-json.ts'
import { narrateMissing, readSelection, selectionFlags, whichHelp } from './dead-selection.ts'
import { JsonArray } from './json-array.ts'
import { Progress } from './progress.ts'
import { withClient } from './with-client.ts'

/** `millrace dead export`: whole dead letters as JSON. */
export const deadExport: Command = {
  name: 'dead export',
  arguments: '[sequence|job id]...',
  takes: [0, Number.POSITIVE_INFINITY],
  summary: 'write dead letters with their payloads as one JSON array',
  details:
    `${whichHelp}\n` +
    'One element a line, so the array may be longer than memory. payload_encoding says how the payload is written:\n' +
    'json as it is, text and base64 as a string, empty as null. Nothing is deleted.',
  flags: selectionFlags,
  example: 'millrace dead export --handler email.send > dead.json',

  async run(typed, console) {
    const missing: string[] = []
    const selection = readSelection(typed, missing)
    const array = new JsonArray(console)
    const progress = new Progress(console, 'exporting')
    let count = 0
    await withClient(typed, async (client) => {
      for await (const page of client.deadLetters.pages(selection, { payloads: true })) {
        await array.add(page.map((letter) => deadLetterJson(letter, true)))
        count += page.length
        // On one terminal with the data, that is progress enough.
        if (console.columns === undefined)
          progress.say(() => ({ done: count, total: undefined, line: `exported ${count} so far` }))
      }
    })
    progress.end()
    array.end()
    narrateMissing(missing, console)
    return missing.length > 0 ? cliExitCodes.notFound : cliExitCodes.ok
  },
}
