import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { MsgHdrs } from '@nats-io/transport-node'
import { BenchError } from '../bench-error.ts'
import { bare } from '../contestants/bare.ts'
import type { Running } from '../contestants/contestant.ts'
import { millrace } from '../contestants/millrace.ts'
import { cpuMsOf, rssMbOf } from '../measure/process-usage.ts'
import type { Scenario, Values } from '../scenario.ts'
import { checkCounters, checkDrained, collectRecords } from '../stage/account.ts'
import { preload } from '../stage/preload.ts'
import { jobStream, type Stage, setStage } from '../stage/stage.ts'

export const payloadBytes = 256
export const handler = 'noop'
export const handlersDir = path.join(import.meta.dirname, '../handlers/drain')
const pollMs = 10
/** A drain that does not get on for so long has hung. */
const stalledMs = 20_000

/** How fast jobs that do nothing get done: what the machinery around a job costs. */
export const drain: Scenario = {
  name: 'drain',
  title: 'Drain of no-op jobs, 256 bytes',
  method:
    'A stream full of jobs, then one process that takes them. The clock starts when a fifth of them is gone, so that starting and ' +
    "compiling do not count, and stops when the stream is empty; both are read from the stream's state, every 10 ms, from outside. " +
    'The floor is `consume()` of nats.js with a callback that acks, 1,000 messages ahead, on an equal stream and consumer. ' +
    "A run counts only if the consumer's state shows one delivery and one ack for each job, and with Millrace also its counters and " +
    'a record that the handlers keep show one run of each.',
  contestants: [bare, millrace],
  measures: [
    { key: 'jobsPerSecond', label: 'jobs/s', digits: 0, goal: { of: 'floor', atLeast: 0.7 } },
    {
      key: 'cpuUs',
      label: 'CPU per job, client and server, µs',
      digits: 1,
      goal: { of: 'floor', atMost: 1.45 },
    },
    { key: 'clientCpuUs', label: 'CPU per job, client, µs', digits: 1 },
    { key: 'serverCpuUs', label: 'CPU per job, server, µs', digits: 1 },
    { key: 'clientRssMb', label: 'memory at the end, client, MB', digits: 0 },
  ],
  run: (contestant, order) => runDrain(contestant, order),
}

/**
 * Fills a stream, lets one contestant take all of it, and measures that.
 *
 * @param headersOf - makes the headers of each job; without it they have none.
 */
export async function runDrain(
  contestant: Parameters<Scenario['run']>[0],
  { binary, jobs, threads, profileDir }: Parameters<Scenario['run']>[1],
  headersOf?: () => MsgHdrs,
): Promise<Values> {
  const stage = await setStage(binary, [handler])
  try {
    const all = Math.ceil(jobs * 1.25)
    await preload(stage.connection, `jobs.${handler}`, all, payloadBytes, headersOf)
    const running = await contestant.start(stage, {
      handler,
      handlersDir,
      settings: { MILLRACE_THREADS: String(threads) },
      profileDir,
    })
    return await measureDrain(stage, running, all, jobs)
  } finally {
    await stage.clear()
  }
}

/**
 * Waits until the stream is empty, and makes sure that each of `all` jobs ran once.
 *
 * @throws {BenchError} when one did not, or the contestant keeps other counts.
 */
export async function measureDrain(
  stage: Stage,
  running: Running,
  all: number,
  counted: number,
): Promise<Values> {
  const values = await Promise.race([watch(stage, running.pid, counted), running.failure])
  await checkDrained(stage, handler, all)
  if (running.readMetrics) {
    checkCounters(await running.readMetrics(), handler, all)
    const runs = await collectRecords(stage.dir, all)
    const doubled = runs.filter((count) => count > 1).length
    if (doubled > 0) throw new BenchError(`of ${all} jobs ${doubled} ran more than once`)
  }
  return values
}

/** Reads the stream from outside until it is empty; what is left when the clock starts is what counts. */
async function watch(stage: Stage, pid: number, jobs: number) {
  const read = async () => {
    const { state } = await stage.streams.streams.info(jobStream)
    return {
      left: state.messages,
      at: performance.now(),
      clientMs: cpuMsOf(pid),
      serverMs: cpuMsOf(stage.broker.pid),
    }
  }
  let last = await read()
  let first = last.left <= jobs ? last : undefined
  let movedAt = last.at
  while (last.left > 0) {
    await wait(pollMs)
    const now = await read()
    if (now.left < last.left) movedAt = now.at
    if (now.at - movedAt > stalledMs) throw new BenchError(`${now.left} jobs are left and nothing moves`)
    last = now
    if (now.left <= jobs) first ??= now
  }
  const counted = first!.left
  if (counted < jobs / 2) {
    throw new BenchError(`only ${counted} jobs were left when the clock started; ask for more with --jobs`)
  }
  const perJobUs = (ms: number) => (ms * 1_000) / counted
  const clientCpuUs = perJobUs(last.clientMs - first!.clientMs)
  const serverCpuUs = perJobUs(last.serverMs - first!.serverMs)
  return {
    jobsPerSecond: counted / ((last.at - first!.at) / 1_000),
    cpuUs: clientCpuUs + serverCpuUs,
    clientCpuUs,
    serverCpuUs,
    clientRssMb: rssMbOf(pid),
    countedJobs: counted,
  }
}
