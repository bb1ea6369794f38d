import { checkHandler } from '../client/new-job.ts'
import { type Command, cliExitCodes } from './command.ts'
import { withClient } from './with-client.ts'

/** `millrace resume`: ends a pause. */
export const resume: Command = {
  name: 'resume',
  arguments: '<handler>',
  takes: [1, 1],
  summary: 'go on with a handler that was paused',
  details: 'Takes effect within 2 s. Nothing happens when the handler is not paused.',
  flags: {},
  example: 'millrace resume email.send',

  async run(typed, console) {
    const {
      positionals: [handler],
      json,
    } = typed
    checkHandler(handler!)
    await withClient(typed, (client) => client.resume(handler!))
    if (json) console.print(JSON.stringify({ handler, paused: false }))
    console.narrate(`${handler} is not paused`)
    return cliExitCodes.ok
  },
}
