import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Running } from '../contestants/contestant.ts'
import { startMillrace } from '../contestants/millrace.ts'
import { rssMbOf } from '../measure/process-usage.ts'
import { slopeOf } from '../measure/statistics.ts'
import type { Named, Scenario, Values } from '../scenario.ts'
import { checkCounters, checkDrained, collectRecords } from '../stage/account.ts'
import { preload } from '../stage/preload.ts'
import { jobStream, type Stage, setStage } from '../stage/stage.ts'
import { drainWarm, refill } from '../stage/warm-drain.ts'
import { joinValues, TooFastError, untilEmpty, watchUntil } from '../stage/watch.ts'
import { drainMeasures } from './drain.ts'

/** One size. */
type Size = Named & { readonly size: number }

const shortest = 10_000
const backlogs = [shortest, 100_000, 500_000, 2_000_000]
/** So many of the shortest may be over too soon, or be one of the five that count. */
const mostQueues = 20

/** Whether it matters how much waits. */
export const backlog: Scenario = {
  name: 'backlog',
  title: 'Drain with so many jobs waiting',
  method:
    'A process that has done 150,000 no-op jobs of 64 bytes comes to a point behind which so many wait, and the next 100,000 are measured: what is behind them, which has to get done as well, should ' +
    'not matter. Of the shortest queue seven eighths are, five times one after the other; one that was half done at the first look is filled again. All are compared with that one.',
  contestants: backlogs.map((size): Size => ({ name: `${format(size)} waiting`, size, isOwn: true })),
  quick: [`${format(shortest)} waiting`],
  measures: drainMeasures,
  goals: [
    {
      measure: 'jobsPerSecond',
      of: `${format(2_000_000)} waiting`,
      against: [`${format(shortest)} waiting`],
      atLeast: 0.9,
    },
    {
      measure: 'rssMb',
      of: `${format(2_000_000)} waiting`,
      against: [`${format(shortest)} waiting`],
      atMost: 1.1,
    },
  ],
  async run(named, options) {
    const { size } = named as Size
    const stage = await setStage(options, ['noop'])
    const warmUp = options.quick ? 80_000 : 150_000
    const bounds = { from: size, to: Math.max(Math.ceil(size / 8), size - 100_000) }
    const left = async () => (await stage.streams.streams.info(jobStream)).state.messages
    await preload(stage.connection, 'jobs.noop', warmUp + size, 64)
    const running = await startMillrace(stage, 'noop')
    if (size !== shortest) {
      const values = await watchUntil(stage, [running], bounds)
      await untilEmpty({ left }, running, '')
      await checkAll(stage, [running], warmUp + size)
      return values
    }
    await untilEmpty({ left }, running, '')
    let all = warmUp + size
    const parts: Values[] = []
    for (let queues = 0; parts.length < (options.quick ? 1 : 5); queues += 1) {
      const first = all
      all += 2 * size
      const fill = () => preload(stage.connection, 'jobs.noop', 2 * size, 64, undefined, first)
      const goOn = await refill([running], fill)
      try {
        parts.push(await watchUntil(stage, [running], { ...bounds, goOn }))
      } catch (error) {
        if (!(error instanceof TooFastError) || queues === mostQueues) throw error
      }
      await untilEmpty({ left }, running, '')
    }
    await checkAll(stage, [running], all)
    return joinValues(parts)
  },
}

const million = 1_000_000

/** Whether anything is kept of jobs that are done. */
export const growth: Scenario = {
  name: 'growth',
  title: 'Memory over a million jobs',
  method:
    'A drain of six million no-op jobs of 64 bytes. With the first two the heaps of three threads find their size; from then on ' +
    'the memory of the supervisor is read ten times a second or more, and growth is the slope of the line that fits best. Memory that ' +
    'the runtime takes and gives back makes it swing round 0.',
  contestants: [{ name: 'millrace', isOwn: true }],
  quick: [],
  measures: [
    { key: 'growthMb', label: 'growth over a million jobs, MB', digits: 1 },
    { key: 'rssMb', label: 'memory at the end, MB', digits: 0 },
    { key: 'jobsPerSecond', label: 'jobs/s', digits: 0 },
  ],
  goals: [{ measure: 'growthMb', of: 'millrace', atMost: 10 }],
  async run(_contestant, options) {
    const stage = await setStage(options, ['bare'])
    const jobs = options.quick ? million / 20 : 6 * million
    await preload(stage.connection, 'jobs.bare', jobs, 64)
    // Without records: they grow with the jobs, and they are ours.
    const running = await startMillrace(stage, 'noop', {
      MILLRACE_HANDLERS: await makeHandlers(stage.dir, ['bare']),
    })
    const readings: [number, number][] = []
    const onLook = (left: number) => readings.push([jobs - left, rssMbOf(running.pid)])
    const values = await watchUntil(stage, [running], { from: jobs / 3, onLook })
    await checkDrained(stage, 'bare', jobs)
    checkCounters(await running.readMetrics!(), 'bare', jobs)
    return { ...values, growthMb: slopeOf(readings) * million }
  },
}

const handlerCounts = [1, 10, 50, 200]

/** Whether it matters how many kinds of jobs there are. */
export const handlers: Scenario = {
  name: 'handlers',
  title: 'Drain with so many handlers',
  method:
    'The drain with half as many jobs, spread evenly over so many handlers, each with a consumer of its own. All of them have jobs until the end.',
  contestants: handlerCounts.map(
    (size): Size => ({
      name: size === 1 ? '1 handler' : `${size} handlers`,
      size,
      isOwn: true,
    }),
  ),
  quick: ['10 handlers'],
  measures: drainMeasures,
  async run(named, options) {
    const { size } = named as Size
    const names = Array.from({ length: size }, (_, index) => `many-${index}`)
    // Even, so that what warms up is as many of each, too.
    const each = 2 * Math.ceil(options.jobs / 4 / size)
    const stage = await setStage(options, names)
    const folder = await makeHandlers(stage.dir, names)
    const { values, running, all } = await drainWarm(
      stage,
      each * size,
      async (first, count) => {
        for (const name of names)
          await preload(stage.connection, `jobs.${name}`, count / size, 256, undefined, first / size)
      },
      async () => [await startMillrace(stage, 'noop', { MILLRACE_HANDLERS: folder })],
    )
    const samples = await running[0]!.readMetrics!()
    for (const name of names) {
      await checkDrained(stage, name, all / size)
      checkCounters(samples, name, all / size)
    }
    return values
  },
}

const supervisorCounts = [1, 2, 4]

/** What more processes are good for. */
export const supervisors: Scenario = {
  name: 'supervisors',
  title: 'Drain by so many supervisors',
  method:
    'The drain of half as many jobs by so many processes on one machine, with two threads each. On a machine with as few processors as this one more processes than ' +
    'that take turns on them; what is seen is that they do not get in the way of each other.',
  contestants: supervisorCounts.map(
    (size): Size => ({
      name: size === 1 ? '1 supervisor' : `${size} supervisors`,
      size,
      isOwn: true,
    }),
  ),
  quick: ['2 supervisors'],
  measures: drainMeasures,
  async run(named, options): Promise<Values> {
    const { size } = named as Size
    const stage = await setStage(options, ['noop'])
    const { values, running, all } = await drainWarm(
      stage,
      Math.ceil(options.jobs / 2),
      (first, count) => preload(stage.connection, 'jobs.noop', count, 256, undefined, first),
      () => Promise.all(Array.from({ length: size }, () => startMillrace(stage, 'noop'))),
    )
    await checkAll(stage, running, all)
    return values
  },
}

/** Every no-op job ran once, by the server's state, by what the supervisors count and by the handlers' records. */
async function checkAll(stage: Stage, running: readonly Running[], jobs: number): Promise<void> {
  await checkDrained(stage, 'noop', jobs)
  const samples = await Promise.all(running.map(({ readMetrics }) => readMetrics!()))
  checkCounters(samples.flat(), 'noop', jobs)
  await collectRecords(stage.dir, 'noop', jobs)
}

/** Handlers by many names, all of them the no-op one. */
async function makeHandlers(dir: string, names: readonly string[]): Promise<string> {
  const folder = path.join(dir, 'handlers')
  await mkdir(folder)
  // Each with a record of its own would be a megabyte each; the state of the server has to do.
  for (const name of names) await writeFile(path.join(folder, `${name}.mjs`), 'export default () => {}\n')
  return folder
}

function format(count: number): string {
  return count.toLocaleString('en-US')
}
