import type { ScheduleTick } from '../client/schedule-tick.ts'
import { nearestName } from '../core/nearest-name.ts'
import { type Command, cliExitCodes, usageError } from './command.ts'
import { withClient } from './with-client.ts'

/** `millrace schedules run`: a job of a schedule now, besides its ticks. */
export const schedulesRun: Command = {
  name: 'schedules run',
  arguments: '<schedule or handler>',
  takes: [1, 1],
  summary: 'run a schedule now, once, besides its ticks',
  details:
    'Stores one more job, with the payload of the schedule; now is its tick. The next tick comes when it would have,\n' +
    'whatever becomes of this job. A schedule is known from when a supervisor first had it; a handler stands for its\n' +
    'only schedule. Prints the id of the job.',
  flags: {},
  example: 'millrace schedules run report.daily',

  async run(typed, console) {
    const [name] = typed.positionals
    return withClient(typed, async (client) => {
      const ticks = await client.ticks()
      const found = findSchedule(ticks, name!)
      const job = found && (await client.runSchedule(found.schedule))
      if (!found || !job) {
        const nearest = nearestName(
          name!,
          ticks.map(({ schedule }) => schedule),
        )
        console.narrate(`there is no schedule ${name}${nearest === null ? '' : `; did you mean ${nearest}?`}`)
        return cliExitCodes.notFound
      }
      const { schedule, handler = schedule } = found
      if (typed.json) console.print(JSON.stringify({ schedule, handler, ...job }))
      else console.print(job.id)
      console.narrate(`stored as ${job.stream} ${job.sequence}, a job of ${handler}`)
      return cliExitCodes.ok
    })
  },
}

/** The schedule of this name, or the only one of a handler of this name. */
function findSchedule(ticks: readonly ScheduleTick[], name: string): ScheduleTick | undefined {
  const own = ticks.find(({ schedule }) => schedule === name)
  if (own) return own
  const [one, ...others] = ticks.filter(({ handler }) => handler === name)
  if (others.length === 0) return one
  const names = [one, ...others].map((tick) => tick!.schedule).join(', ')
  throw usageError(`${name} has several schedules, say which: ${names}`)
}
