import { bare, rawThreads, startLoop, startRawThreads } from '../contestants/bare.ts'
import type { Running } from '../contestants/contestant.ts'
import { millrace, startMillrace } from '../contestants/millrace.ts'
import { percentile } from '../measure/statistics.ts'
import { burnMs, smallMs } from '../measure/work.ts'
import type { Scenario } from '../scenario.ts'
import { checkCounters, checkDrained, collectRecords } from '../stage/account.ts'
import { pace } from '../stage/pace.ts'
import { preload } from '../stage/preload.ts'
import { jobStream, type Stage, setStage } from '../stage/stage.ts'
import { warmUpJobs } from '../stage/warm-up.ts'
import { untilEmpty } from '../stage/watch.ts'

const burnsPerSecond = 150
const smallsPerSecond = 100
/** Of the jobs before those that count. */
const payloadBytes = 64

/** What small jobs notice of large ones beside them. */
export const mixed: Scenario = {
  name: 'mixed',
  title: 'Small jobs beside ones that compute',
  method:
    `${burnsPerSecond} jobs a second that compute for ${burnMs} ms, and beside them ${smallsPerSecond} a second that wait for ${smallMs} ms, each at ` +
    'instants fixed beforehand. Shown is how much later a waiting job ended than it could have: than its instant and what it waits for. Millrace has ' +
    'the two in pools of their own, as its documentation says. Compared with one process that does both in callbacks of `consume()`; the raw protocol ' +
    'has a process for each, and shows what two threads that compute leave of two processors. ' +
    'Before that each takes a queue of 150,000 of the small ones, as one that has run for long would have; the first second after it does not count.',
  contestants: [{ name: bare.name }, { name: rawThreads.name }, { name: millrace.name, isOwn: true }],
  quick: [rawThreads.name, millrace.name],
  measures: [
    { key: 'p99', label: 'p99, ms', digits: 1 },
    { key: 'p50', label: 'p50, ms', digits: 1 },
    { key: 'max', label: 'longest, ms', digits: 1 },
  ],
  goals: [{ measure: 'p99', of: millrace.name, atMost: 4 }],
  async run({ name }, options) {
    const stage = await setStage(options, ['burn', 'small'])
    const running = await startAll(name, stage)
    const seconds = options.quick ? 2 : 6
    const burns = burnsPerSecond * seconds
    const smalls = smallsPerSecond * seconds
    const before = options.quick ? 0 : warmUpJobs
    await preload(stage.connection, 'jobs.small', before, payloadBytes)
    const failure = Promise.race(running.map((it) => it.failure))
    const left = async () => (await stage.streams.streams.info(jobStream)).state.messages
    await untilEmpty({ left }, { failure }, 'small')
    const paced = Promise.all([
      pace(stage, 'jobs.burn', burnsPerSecond, burns),
      pace(stage, 'jobs.small', smallsPerSecond, smalls, before),
    ])
    await Promise.race([paced, failure])
    for (const [handler, jobs] of [
      ['burn', burns],
      ['small', before + smalls],
    ] as const) {
      await checkDrained(stage, handler, jobs)
      if (running[0]!.readMetrics) checkCounters(await running[0]!.readMetrics(), handler, jobs)
    }
    await collectRecords(stage.dir, 'burn', burns)
    const { values } = await collectRecords(stage.dir, 'small', before + smalls)
    const counted = values.slice(before + smallsPerSecond)
    return { p50: percentile(counted, 0.5), p99: percentile(counted, 0.99), max: percentile(counted, 1) }
  },
}

async function startAll(name: string, stage: Stage): Promise<Running[]> {
  if (name === millrace.name) return [await startMillrace(stage, 'mixed')]
  const jobs = 0
  if (name === bare.name) return [await startLoop(stage, { handler: 'burn,small', jobs }, 'bare-loop.js')]
  return [
    await startRawThreads(stage, { handler: 'burn', jobs }),
    await startRawThreads(stage, { handler: 'small', jobs }),
  ]
}
