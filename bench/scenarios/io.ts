import { bare } from '../contestants/bare.ts'
import type { Contestant } from '../contestants/contestant.ts'
import { millrace } from '../contestants/millrace.ts'
import { bullmqBest, bullmqThreads, graphileWorkers, pgBoss } from '../contestants/peers.ts'
import { pauseMs } from '../measure/work.ts'
import type { Scenario } from '../scenario.ts'
import { watchDrain } from '../stage/watch.ts'

const handler = 'pause'
const concurrency = 200
const idealPerSecond = concurrency / (pauseMs / 1_000)

/** Jobs that wait for something else: whether all places are always taken. */
export const io: Scenario = {
  name: 'io',
  title: `Jobs that wait for ${pauseMs} ms, ${concurrency} at once`,
  method:
    `Jobs that wait for ${pauseMs} ms on a timer, drained by one process that may run ${concurrency} at once. The ideal is ` +
    `${idealPerSecond.toLocaleString('en-US')} a second; a timer is late by half a millisecond or so by itself. Millrace has ` +
    'a deadline for each; peers have none. The bare loop does not bound what runs at once, so it can do more than that. pg-boss fetches in batches, and ' +
    'has as many places in all; BullMQ in threads has two, because 200 threads would be 200 heaps. The first fifth does not count.',
  contestants: [millrace, bare, bullmqBest[3]!, bullmqThreads, graphileWorkers[0]!, pgBoss],
  floor: '',
  quick: [millrace.name],
  measures: [
    { key: 'idealPercent', label: '% of the ideal', digits: 1 },
    { key: 'jobsPerSecond', label: 'jobs/s', digits: 0 },
    { key: 'clientCpuUs', label: 'CPU per job, client, µs', digits: 1 },
  ],
  goals: [{ measure: 'idealPercent', of: 'millrace', atLeast: 97 }],
  async run(named, options) {
    const contestant = named as Contestant
    // Threads of BullMQ run a job at a time: 200 of them would be 200 heaps.
    const places = contestant === bullmqThreads ? undefined : concurrency
    const jobs = Math.ceil((options.quick ? 4_000 : 40_000) * (contestant === bullmqThreads ? 0.05 : 1))
    const all = Math.ceil(jobs * 1.25)
    const ground = await contestant.open(options, [handler])
    await ground.fill(handler, all, 64)
    const running = await ground.start({
      handler,
      jobs: all,
      ...(places !== undefined && { concurrency: places }),
    })
    const values = await watchDrain(ground, running, handler, jobs)
    await ground.checkDone(handler, all, running)
    return { ...values, idealPercent: (values['jobsPerSecond']! / idealPerSecond) * 100 }
  },
}
