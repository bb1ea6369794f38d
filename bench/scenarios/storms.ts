import { bare, startLoop } from '../contestants/bare.ts'
import type { Contestant } from '../contestants/contestant.ts'
import { millrace, startMillrace } from '../contestants/millrace.ts'
import { bullmqBest } from '../contestants/peers.ts'
import { percentile } from '../measure/statistics.ts'
import { burnMs } from '../measure/work.ts'
import type { RunOptions, Scenario, Values } from '../scenario.ts'
import { checkCounters, checkDrained, collectRecords } from '../stage/account.ts'
import { preload } from '../stage/preload.ts'
import { setStage } from '../stage/stage.ts'
import { drainWarm } from '../stage/warm-drain.ts'
import { withWarmUp } from '../stage/warm-up.ts'
import { watchDrain } from '../stage/watch.ts'
import { attemptsOf, readLateness, redeliveriesOf, untilEnded } from './deadline.ts'

/** Deadline and grace of `handlers/storm/spin.ts`. */
const allowedMs = 50
const withLoops = 'with loops'
const withoutLoops = 'without loops'

/** What is left of a supervisor's work when one job in a hundred has to be killed. */
export const deadlineStorm: Scenario = {
  name: 'deadline-storm',
  title: 'One job in a hundred loops for ever',
  method:
    `Jobs that compute for ${burnMs} ms, and one more for each 99 of them that loops for ever on any thread, with deadline and grace of ` +
    `${allowedMs} ms together and one attempt. Counted are the healthy jobs a second; compared with the same healthy jobs alone. A loop takes a ` +
    `thread for ${allowedMs} ms and a new one has to start, so ${Math.round((99 * burnMs * 100) / (99 * burnMs + allowedMs))} % would be left if that took no time. ` +
    'Lateness is that of the last sign of life that a loop leaves in a file; there are twenty loops, so p99 is the latest.',
  contestants: [
    { name: withoutLoops, isOwn: true },
    { name: withLoops, isOwn: true },
  ],
  quick: [withLoops],
  measures: [
    { key: 'jobsPerSecond', label: 'healthy jobs/s', digits: 0 },
    { key: 'latenessP50', label: 'lateness of kills, p50, ms', digits: 1 },
    { key: 'latenessP99', label: 'p99, ms', digits: 1 },
    { key: 'charged', label: 'healthy jobs charged with an attempt', digits: 0 },
    { key: 'restarted', label: 'started again', digits: 0 },
    { key: 'redelivered', label: 'redelivered by the server', digits: 0 },
  ],
  goals: [
    { measure: 'jobsPerSecond', of: withLoops, against: [withoutLoops], atLeast: 0.8 },
    { measure: 'latenessP99', of: withLoops, atMost: 50 },
    { measure: 'charged', of: withLoops, atMost: 0 },
  ],
  async run({ name }, options) {
    const stage = await setStage(options, ['spin', 'steady'])
    const loops = name === withLoops ? (options.quick ? 2 : 20) : 0
    const steady = (options.quick ? 2 : 20) * 99
    // In turn, as they would come.
    for (let loop = 0; loop < Math.max(1, loops); loop += 1) {
      const share = steady / Math.max(1, loops)
      await preload(stage.connection, 'jobs.steady', share, 64)
      if (loops > 0) await preload(stage.connection, 'jobs.spin', 1, 64, undefined, loop)
    }
    const began = performance.now()
    const running = await startMillrace(stage, 'storm')
    const startedMs = performance.now() - began
    const samples = await Promise.race([untilEnded(running, loops, steady), running.failure])
    const elapsedMs = performance.now() - began - startedMs
    const lateness = readLateness(stage.dir, loops, allowedMs)
    const interrupted = attemptsOf(samples, 'steady', 'interrupted')
    const charged = attemptsOf(samples, 'steady') - steady - interrupted
    const redelivered = await redeliveriesOf(stage, 'steady', steady)
    if (loops === 0) return { jobsPerSecond: steady / (elapsedMs / 1_000), charged, redelivered }
    return {
      jobsPerSecond: steady / (elapsedMs / 1_000),
      latenessP50: percentile(lateness, 0.5),
      latenessP99: percentile(lateness, 0.99),
      charged,
      restarted: interrupted,
      redelivered,
    }
  },
}

const handler = 'flaky'
/** Fewer fail together and then complete together, between two looks at what is left. */
const fewestJobs = 5_000

/** What it costs when every job has to be tried twice. */
export const redeliveryStorm: Scenario = {
  name: 'redelivery-storm',
  title: 'Every job fails once',
  method:
    'No-op jobs whose first attempt fails and may be tried again at once, drained as above, with a twentieth of the jobs. Each failure is written down before ' +
    'the job is given back, so that no end of a process makes it try too often, and has a line in the log. Compared with a loop that gives each job back once and ' +
    'writes nothing down. graphile-worker and pg-boss are left out: the one waits before it tries again, the other fails a batch as one.',
  contestants: [{ name: bare.name }, { name: millrace.name, isOwn: true }, ...bullmqBest.slice(1, 2)],
  measures: [
    { key: 'jobsPerSecond', label: 'jobs/s', digits: 0 },
    { key: 'clientCpuUs', label: 'CPU per job, client, µs', digits: 1 },
    { key: 'serverCpuUs', label: 'server, µs', digits: 1 },
  ],
  async run(contestant, options) {
    const { name } = contestant
    const jobs = Math.max(fewestJobs, Math.ceil(options.jobs / 20))
    if (name !== bare.name && name !== millrace.name)
      return peerStorm(contestant as Contestant, options, jobs)
    const stage = await setStage(options, [handler])
    const { values, running, all } = await drainWarm(
      stage,
      jobs,
      (first, count) => preload(stage.connection, `jobs.${handler}`, count, 256, undefined, first),
      async () => [
        name === bare.name
          ? await startLoop(stage, { handler, jobs }, 'bare-loop.js')
          : await startMillrace(stage, handler),
      ],
    )
    await checkDrained(stage, handler, all, 2 * all)
    if (name === bare.name) return values
    checkCounters(await running[0]!.readMetrics!(), handler, all, all)
    await collectRecords(stage.dir, handler, all, 2)
    return values
  },
}

async function peerStorm(peer: Contestant, options: RunOptions, jobs: number): Promise<Values> {
  const all = withWarmUp(jobs)
  const ground = await peer.open(options, [handler])
  await ground.fill(handler, all, 256)
  const running = await ground.start({ handler, jobs: all, runs: 2 })
  const values = await watchDrain(ground, running, handler, jobs)
  await ground.checkDone(handler, all, running)
  return values
}
