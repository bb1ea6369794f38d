import type { HandlerQueue, Queues } from '../client/queues.ts'
import { type Command, type Console, cliExitCodeOf, cliExitCodes } from './command.ts'
import type { PaintName } from './paint.ts'
import { PrintedTable } from './print-table.ts'
import { queueColumns, queuePaint } from './queue-columns.ts'
import { withClient } from './with-client.ts'

const everyMs = 2_000

/** `millrace status`: what waits, runs, is paused and has died, by handler. */
export const status: Command = {
  name: 'status',
  arguments: '',
  takes: [0, 0],
  summary: 'show what waits, runs, is paused and has died',
  details:
    'pending waits to be handed out; ack_pending was handed out: it runs, or waits for another attempt (redelivered).\n' +
    'pulls are open requests of supervisors for jobs; none, with jobs pending, means that nobody works on them, or\n' +
    'everybody is busy. The broker says all this, so no supervisor need run.',
  flags: { watch: { help: 'show it again every 2 s, until Ctrl-C' } },
  example: 'millrace status --watch',

  async run(typed, console) {
    const { json, texts } = typed
    await withClient(typed, async (client) => {
      const show = async (): Promise<void> => {
        const queues = await client.queues()
        if (watches) console.wipe()
        if (json) console.print(JSON.stringify(statusOf(queues)))
        else showStatus(queues, console)
        await console.taken()
      }
      const watches = texts('watch').length > 0
      await show()
      while (watches) {
        await new Promise((resolve) => setTimeout(resolve, everyMs))
        await orNarrated(show, console)
      }
    })
    return cliExitCodes.ok
  },
}

/** Whoever watches wants to see the broker come back. */
async function orNarrated(show: () => Promise<void>, console: Console): Promise<void> {
  try {
    await show()
  } catch (error) {
    if (cliExitCodeOf(error) !== cliExitCodes.unreachable) throw error
    console.narrate(`${new Date().toISOString()} ${(error as Error).message}`)
  }
}

/** As `status --json` has it; contract. */
function statusOf(queues: Queues | undefined) {
  return {
    handlers: queues?.handlers.map(rowOf) ?? [],
    unclaimed: queues?.unclaimed ?? [],
    delayed: queues?.delayed ?? 0,
    stranded: queues?.stranded ?? 0,
  }
}

function rowOf(queue: HandlerQueue) {
  return {
    handler: queue.handler,
    pending: queue.pending,
    ack_pending: queue.ackPending,
    paused: queue.paused,
    redelivered: queue.redelivered,
    dead_letters: queue.deadLetters,
    oldest_age_seconds: Math.round(queue.oldestAgeSeconds * 1_000) / 1_000,
    pulls: queue.pulls ?? null,
    paused_by: queue.pausedBy ?? null,
    owner: queue.owner ?? null,
  }
}

function showStatus(queues: Queues | undefined, console: Console): void {
  if (!queues) {
    console.narrate(
      'there is no stream of jobs yet; a supervisor of this namespace creates it: millrace start',
    )
    return
  }
  const { handlers, unclaimed, delayed, stranded } = queues
  const hasOwners = handlers.some(({ owner }) => owner !== undefined)
  const lines = handlers.map((queue) => lineOf(queue, hasOwners))
  const paints = new Map<object, PaintName | undefined>()
  for (const [at, queue] of handlers.entries())
    paints.set(lines[at]!, queuePaint(queue, queue.pending + queue.ackPending === 0))
  if (lines.length > 0) new PrintedTable(console, (_, row) => paints.get(row)).add(lines)
  else console.narrate('no handler has a consumer, a pause or a dead letter')
  for (const { handler, jobs } of unclaimed)
    console.print(`${counted(jobs)} of ${handler} that no consumer takes: no supervisor has had this handler`)
  if (delayed !== undefined && delayed > 0) console.print(`${counted(delayed)} that wait for their time`)
  if (stranded > 0)
    console.print(`${counted(stranded)} at least that no consumer delivers; see millrace doctor`)
}

function lineOf(queue: HandlerQueue, hasOwners: boolean) {
  return {
    handler: queue.handler,
    ...queueColumns(queue),
    ...(hasOwners ? { owner: queue.owner } : {}),
  }
}

function counted(jobs: number): string {
  return jobs === 1 ? '1 job' : `${jobs} jobs`
}
