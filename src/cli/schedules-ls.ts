import { type Command, cliExitCodes } from './command.ts'
import { PrintedTable } from './print-table.ts'
import { withClient } from './with-client.ts'

/** `millrace schedules ls`: the newest tick of every schedule. */
export const schedulesLs: Command = {
  name: 'schedules ls',
  arguments: '',
  takes: [0, 0],
  summary: 'list schedules and their newest ticks',
  details: 'A schedule appears as soon as a supervisor has it; it is new until its first tick.',
  flags: {},
  example: 'millrace schedules ls --json',

  async run(typed, console) {
    const { json } = typed
    const ticks = await withClient(typed, (client) => client.ticks())
    const rows = ticks.map(({ schedule, handler, at, state }) => ({
      schedule,
      handler: handler ?? schedule,
      last_tick: at?.toISOString() ?? null,
      state: state ?? null,
    }))
    if (json) console.print(JSON.stringify(rows))
    else if (rows.length > 0) new PrintedTable(console).add(rows)
    else console.narrate('no schedule has ticked yet')
    return cliExitCodes.ok
  },
}
