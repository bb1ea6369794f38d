import type { Contestant } from '../contestants/contestant.ts'
import { field } from '../contestants/field.ts'
import { rssMbOf } from '../measure/process-usage.ts'
import type { Measure, RunOptions, Scenario, Values } from '../scenario.ts'
import { watchDrain } from '../stage/watch.ts'

const handler = 'noop'

/** What every drain measures. */
export const drainMeasures: readonly Measure[] = [
  { key: 'jobsPerSecond', label: 'jobs/s', digits: 0 },
  { key: 'cpuUs', label: 'CPU per job, client and server, µs', digits: 1 },
  { key: 'clientCpuUs', label: 'client', digits: 1 },
  { key: 'serverCpuUs', label: 'server', digits: 1 },
  { key: 'rssMb', label: 'memory at the end, client, MB', digits: 0 },
]

/** How fast jobs that do nothing get done: what the machinery around a job costs. */
export const drain: Scenario = {
  name: 'drain',
  title: 'Drain of no-op jobs, 256 bytes',
  method:
    'A queue full of jobs, then one process that takes them. The clock starts when a fifth of them is gone, so that starting and ' +
    'compiling do not count, and stops when the queue is empty. On NATS both are read from the state of the stream, every 10 ms, ' +
    'from outside. Compared with `consume()` of nats.js with a callback that acks, 1,000 messages ahead, on an equal stream and consumer; ' +
    'the raw protocol is a loop over a socket that parses only what an ack needs. A run counts only if the state of the server shows ' +
    'one delivery and one ack for each job, and, but for the two loops, a record that the handlers keep shows one run of each; ' +
    'with Millrace its counters, too.',
  contestants: field,
  measures: drainMeasures,
  goals: [
    { measure: 'jobsPerSecond', of: 'millrace', against: ['bare nats.js'], atLeast: 0.85 },
    { measure: 'cpuUs', of: 'millrace', against: ['bare nats.js'], atMost: 1.3 },
  ],
  run: (contestant, options) => runDrain(contestant as Contestant, options, 256),
}

/** The same with jobs that fill a page: what bytes cost. */
export const drain4k: Scenario = {
  ...drain,
  name: 'drain-4k',
  title: 'Drain of no-op jobs, 4 KB',
  method: 'As above, with a third as many jobs of 4,096 bytes.',
  goals: [],
  run: (contestant, options) =>
    runDrain(contestant as Contestant, { ...options, jobs: Math.ceil(options.jobs / 3) }, 4_096),
}

/** Fills a queue, lets one contestant take all of it, and measures that. */
export async function runDrain(
  contestant: Contestant,
  options: RunOptions,
  payloadBytes: number,
  settings: Record<string, string> = {},
): Promise<Values> {
  const jobs = Math.ceil(options.jobs * (contestant.share ?? 1))
  const all = Math.ceil(jobs * 1.25)
  const ground = await contestant.open(options, [handler])
  await ground.fill(handler, all, payloadBytes)
  const running = await ground.start({ handler, jobs: all, settings })
  const values = await watchDrain(ground, running, handler, jobs)
  const rssMb = rssMbOf(running.pid)
  await ground.checkDone(handler, all, running)
  return { ...values, rssMb }
}
