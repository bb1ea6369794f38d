import { checkJobId } from '../client/new-job.ts'
import { type JobPosition, positionRow } from '../core/job-position.ts'
import { whereaboutsText } from '../core/whereabouts.ts'
import { type Command, cliExitCodes } from './command.ts'
import { terminalText } from './terminal-text.ts'
import { withClient } from './with-client.ts'

/** `millrace where`: where a running job is now. */
export const where: Command = {
  name: 'where',
  arguments: '<job id>',
  takes: [1, 1],
  summary: 'show where a running job is: its stack, or what it waits for',
  details:
    'Asks the supervisors, and the thread that runs the job. The job goes on as if nothing had happened. Exits with 3\n' +
    'when no supervisor that answers runs it.',
  flags: {},
  example: 'millrace where JOBS:42',

  async run(typed, console) {
    const {
      positionals: [id],
      json,
    } = typed
    checkJobId(id!)
    const positions = await withClient(typed, (client) => client.where(id!))
    const running = positions.filter(({ state }) => state === 'running')
    if (json) console.print(JSON.stringify(running.map(positionRow)))
    else if (running.length > 0) console.print(running.map(describe).join('\n\n'))
    for (const { state, supervisor } of positions) {
      if (state === 'held')
        console.narrate(terminalText(`supervisor ${supervisor} holds it, and it waits for its turn`))
    }
    if (running.length > 0) return cliExitCodes.ok
    console.narrate(`no supervisor that answers runs ${id}`)
    return cliExitCodes.notFound
  },
}

function describe(position: JobPosition): string {
  const { handler, jobId, attempt, maxAttempts, supervisor, thread, elapsedMs, deadlineMs, abort, where } =
    position
  const stop = abort === undefined ? '' : `, told to stop (${abort})`
  const doing = (where && whereaboutsText(where)) ?? 'where it is cannot be found out'
  return [
    `${handler} ${jobId}, attempt ${attempt} of ${maxAttempts}`,
    `on supervisor ${supervisor}, thread ${thread}`,
    `for ${seconds(elapsedMs ?? 0)} s of ${seconds(deadlineMs)} s${stop}`,
    doing,
    ...(where?.stack ?? []).map((frame) => `  at ${frame}`),
  ]
    .map(terminalText)
    .join('\n')
}

function seconds(ms: number): string {
  return String(Math.round(ms / 100) / 10)
}
