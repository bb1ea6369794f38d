import { bare, naive, rawThreads } from '../contestants/bare.ts'
import type { Contestant } from '../contestants/contestant.ts'
import { millrace } from '../contestants/millrace.ts'
import { bullmqBest, bullmqThreads, graphileWorkers, pgBoss } from '../contestants/peers.ts'
import { percentile } from '../measure/statistics.ts'
import type { Measure, RunOptions, Scenario, Values } from '../scenario.ts'
import { collectRecords } from '../stage/account.ts'
import { warmUpJobs } from '../stage/warm-up.ts'
import { untilEmpty } from '../stage/watch.ts'

const handler = 'stamp'
/** Of the jobs before those that count. */
const payloadBytes = 64
const ours: readonly Contestant[] = [bare, millrace]
const measures: readonly Measure[] = [
  { key: 'p50', label: 'p50, ms', digits: 2 },
  { key: 'p99', label: 'p99, ms', digits: 2 },
  { key: 'max', label: 'longest, ms', digits: 1 },
]

/** How long a job is on its way at a steady rate that leaves time. */
function latencyAt(perSecond: number): Scenario {
  const rate = perSecond.toLocaleString('en-US')
  return {
    name: `latency-${perSecond}`,
    title: `From publish to start, ${rate} jobs/s`,
    method:
      `A process publishes ${rate} jobs a second at instants fixed beforehand, whatever becomes of them; the handler notes how long ` +
      'after its instant it starts. Before that it takes a queue of 150,000 jobs, as one that has run for long would have; ' +
      'the first ten seconds after that do not count, and the twenty after them do. Compared with the same in the callback of `consume()`, which changes no thread; ' +
      'what that change costs without anything else of Millrace is in the lines of Piscina and of the raw protocol with a thread.' +
      (perSecond > 1_000
        ? ' graphile-worker and pg-boss are left out: PostgreSQL does not commit so often, once for each job.'
        : ''),
    contestants:
      perSecond > 1_000
        ? [...ours, rawThreads, naive, bullmqBest[1]!, bullmqThreads]
        : [...ours, rawThreads, naive, bullmqBest[1]!, bullmqThreads, graphileWorkers[0]!, pgBoss],
    quick: perSecond > 1_000 ? [] : [bare.name],
    measures,
    goals: [
      { measure: 'p50', of: 'millrace', against: [bare.name], as: 'difference', atMost: 0.2 },
      { measure: 'p99', of: 'millrace', against: [bare.name], as: 'difference', atMost: 0.5 },
    ],
    run: (contestant, options) => runLatency(contestant as Contestant, options, perSecond),
  }
}

/** While there is little to do: what a thread change and a look at the clock cost. */
export const latency100 = latencyAt(100)

/** While there is something to do all the time. */
export const latency2000 = latencyAt(2_000)

/** When things get tight. */
export const latencyNearCapacity: Scenario = {
  name: 'latency-80-percent',
  title: 'From publish to start, at 80 % of capacity',
  method:
    'As above, at four fifths of the rate that the contestant itself keeps up with while a process publishes as fast as it can, ' +
    'found just before. Only loops on NATS take part. The first four seconds do not count, and the five after them do.',
  contestants: ours,
  quick: [millrace.name],
  measures: [...measures, { key: 'perSecond', label: 'jobs/s', digits: 0 }],
  run: (contestant, options) => runLatency(contestant as Contestant, options, undefined),
}

async function runLatency(
  contestant: Contestant,
  options: RunOptions,
  perSecond: number | undefined,
): Promise<Values> {
  const rate = perSecond ?? Math.round(0.8 * (await findCapacity(contestant, options)))
  const isSteady = perSecond !== undefined
  const seconds = options.quick ? 1 : isSteady ? 20 : 5
  const before = options.quick ? 0 : warmUpJobs
  // What came too fast for a process that was still compiling is behind it by then.
  const warmUpSeconds = options.quick ? 1 : isSteady ? 10 : 4
  const ground = await contestant.open(options, [handler])
  if (before > 0) await ground.fill(handler, before, payloadBytes)
  const paced = rate * (warmUpSeconds + seconds)
  const jobs = before + paced
  const running = await ground.start({ handler, jobs })
  if (before > 0) await untilEmpty(ground, running, handler)
  await Promise.race([ground.pace(handler, rate, paced, before), running.failure])
  await untilEmpty(ground, running, handler)
  await ground.checkDone(handler, jobs, running)
  const counted = (await collectRecords(ground.dir, handler, jobs)).values.slice(
    before + rate * warmUpSeconds,
  )
  return {
    p50: percentile(counted, 0.5),
    p99: percentile(counted, 0.99),
    max: percentile(counted, 1),
    perSecond: rate,
  }
}

/** Jobs a second that get done while others come in as fast as one process can send them. */
async function findCapacity(contestant: Contestant, options: RunOptions): Promise<number> {
  const ground = await contestant.open(options, [handler])
  const jobs = Math.ceil((options.quick ? 10_000 : 100_000) * (contestant.share ?? 1))
  const running = await ground.start({ handler, jobs })
  const began = performance.now()
  const sent = ground.pace(handler, Number.POSITIVE_INFINITY, jobs)
  await Promise.race([sent, running.failure])
  await untilEmpty(ground, running, handler)
  const elapsedMs = performance.now() - began
  await ground.checkDone(handler, jobs, running)
  await options.endings.clear()
  return jobs / (elapsedMs / 1_000)
}
