import { bare, raw } from '../contestants/bare.ts'
import type { Contestant } from '../contestants/contestant.ts'
import { field } from '../contestants/field.ts'
import { millrace } from '../contestants/millrace.ts'
import {
  bullmqBest,
  bullmqSandboxes,
  durablePeers,
  graphileWorkers,
  peers,
  pgBoss,
} from '../contestants/peers.ts'
import { rssMbOf } from '../measure/process-usage.ts'
import type { Measure, RunOptions, Scenario, Values } from '../scenario.ts'
import { withWarmUp } from '../stage/warm-up.ts'
import { untilEmpty, watchDrain } from '../stage/watch.ts'

const handler = 'noop'

/** What every drain measures. */
export const drainMeasures: readonly Measure[] = [
  { key: 'jobsPerSecond', label: 'jobs/s', digits: 0 },
  { key: 'cpuUs', label: 'CPU per job, client and server, µs', digits: 1 },
  { key: 'clientCpuUs', label: 'client', digits: 1 },
  { key: 'serverCpuUs', label: 'server', digits: 1 },
  { key: 'rssMb', label: 'memory at the end, client, MB', digits: 0 },
  { key: 'countedJobs', label: 'jobs that count', digits: 0 },
]

/** How fast jobs that do nothing get done: what the machinery around a job costs. */
export const drain: Scenario = {
  name: 'drain',
  title: 'Drain of no-op jobs, 256 bytes',
  method:
    'A queue full of jobs, then one process that takes them. The first three fifths do not count, so that starting and ' +
    'compiling do not. On NATS the process, when they are gone, stands still until the others are there, because a loop that does not wait for its server is ' +
    'far ahead of it; the clock starts when it goes on, and stops when the stream is empty, as is read from its state from outside. ' +
    'Of the others the process itself says how many are done, and that its server has none left. Compared with the bare loop, on an ' +
    'equal stream and consumer. A run counts only if the state of the server shows ' +
    'one delivery and one ack for each job, and, but for the two loops, a record that the handlers keep shows one run of each; ' +
    'with Millrace its counters, too. What a power failure costs differs: nats-server, which is told to sync each second (before 2.10 it does so every two minutes), and ' +
    'Redis with AOF up to a second of jobs, Redis without all jobs, PostgreSQL none, or with asynchronous commit a fraction of a second. ' +
    'No peer but BullMQ in threads runs a job apart from its own loop, and none ends one that hangs.',
  contestants: field,
  measures: drainMeasures,
  goals: [
    { measure: 'jobsPerSecond', of: 'millrace', against: ['bare nats.js'], atLeast: 0.85 },
    { measure: 'cpuUs', of: 'millrace', against: ['bare nats.js'], atMost: 1.3 },
    {
      measure: 'jobsPerSecond',
      of: 'millrace',
      against: namesOf(peers),
      againstLabel: 'the fastest peer',
      atLeast: 2.75,
    },
    {
      measure: 'jobsPerSecond',
      of: 'millrace',
      against: namesOf(durablePeers),
      againstLabel: 'the fastest peer as durable on disk',
      atLeast: 3.1,
    },
    {
      measure: 'jobsPerSecond',
      of: 'millrace',
      against: namesOf(bullmqBest),
      againstLabel: 'BullMQ in process',
      atLeast: 6,
    },
    {
      measure: 'jobsPerSecond',
      of: 'millrace',
      against: namesOf(bullmqSandboxes),
      againstLabel: 'BullMQ in threads',
      atLeast: 25,
    },
  ],
  run: (contestant, options) => runDrain(contestant as Contestant, options, 256),
}

/** The same with jobs that fill a page: what bytes cost. */
export const drain4k: Scenario = {
  ...drain,
  contestants: [bare, raw, millrace, ...bullmqBest.slice(0, 1), ...graphileWorkers.slice(1, 2), pgBoss],
  name: 'drain-4k',
  quick: [],
  title: 'Drain of no-op jobs, 4 KB',
  method: 'As above, with a quarter as many jobs of 4,096 bytes.',
  goals: [],
  run: (contestant, options) =>
    runDrain(contestant as Contestant, { ...options, jobs: Math.ceil(options.jobs / 4) }, 4_096),
}

function namesOf(contestants: readonly Contestant[]): string[] {
  return contestants.map(({ name }) => name)
}

/** Fills a queue, lets one contestant take all of it, and measures that. */
export async function runDrain(
  contestant: Contestant,
  options: RunOptions,
  payloadBytes: number,
  settings: Record<string, string> = {},
): Promise<Values> {
  const jobs = Math.max(Math.ceil(options.jobs * (contestant.share ?? 1)), contestant.leastJobs ?? 0)
  const all = withWarmUp(jobs)
  const ground = await contestant.open(options, [handler])
  const before = ground.refill ? all - jobs : all
  await ground.fill(handler, before, payloadBytes)
  const running = await ground.start({ handler, jobs: all, settings })
  if (ground.refill) await untilEmpty(ground, running, handler)
  const goOn = await ground.refill?.(running, handler, before, jobs, payloadBytes)
  const values = await watchDrain(ground, running, handler, jobs, goOn)
  const rssMb = rssMbOf(running.pid)
  await ground.checkDone(handler, all, running)
  return { ...values, rssMb }
}
