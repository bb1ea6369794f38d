import { checkHandler } from '../client/new-job.ts'
import { type Command, cliExitCodes } from './command.ts'
import { narrateUnknownHandler } from './unknown-handler.ts'
import { withClient } from './with-client.ts'

/** `millrace pause`: begins no more jobs of a handler, anywhere. */
export const pause: Command = {
  name: 'pause',
  arguments: '<handler>',
  takes: [1, 1],
  summary: 'begin no more jobs of a handler on any supervisor',
  details: 'Takes effect within 2 s; what runs goes on, what waits waits. Lasts until millrace resume.',
  flags: {},
  example: 'millrace pause email.send',

  async run(typed, console) {
    const {
      positionals: [handler],
      json,
    } = typed
    checkHandler(handler!)
    await withClient(typed, async (client) => {
      await client.pause(handler!)
      if (json) console.print(JSON.stringify({ handler, paused: true }))
      console.narrate(`${handler} is paused`)
      await narrateUnknownHandler(handler!, client, console)
    })
    return cliExitCodes.ok
  },
}
