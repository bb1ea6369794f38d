import { checkJobId } from '../client/new-job.ts'
import { type Command, cliExitCodes } from './command.ts'
import { withClient } from './with-client.ts'

/** `millrace cancel`: a job is not to run, or not to go on. */
export const cancel: Command = {
  name: 'cancel',
  arguments: '<job id>',
  takes: [1, 1],
  summary: 'cancel a job that waits or runs',
  details:
    'A job that waits becomes a dead letter instead of running, one that runs is told to stop. A job that has\n' +
    'ended is not changed; whether there is such a job is not looked at.',
  flags: {},
  example: 'millrace cancel JOBS:42',

  async run(typed, console) {
    const {
      positionals: [id],
      json,
    } = typed
    checkJobId(id!)
    await withClient(typed, (client) => client.cancel(id!))
    if (json) console.print(JSON.stringify({ id, cancelled: true }))
    console.narrate(`asked to cancel ${id}`)
    return cliExitCodes.ok
  },
}
