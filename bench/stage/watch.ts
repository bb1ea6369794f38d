import { setTimeout as wait } from 'node:timers/promises'
import { BenchError } from '../bench-error.ts'
import type { Ground, Running } from '../contestants/contestant.ts'
import { cpuMsOf, rssMbOf } from '../measure/process-usage.ts'
import type { Values } from '../scenario.ts'
import { jobStream, type Stage } from './stage.ts'

/** Most was done before the clock could start. */
export class TooFastError extends BenchError {}

/** The time between two looks: each of them costs whoever answers, so that most are where something ends. */
const leastPauseMs = 10
const mostPauseMs = 100
/** A drain that does not get on for so long has hung. */
const stalledMs = 20_000

/** What is read from outside while a queue is drained. */
type Reading = { left: number; at: number; clientMs: number; serverMs: number }

/**
 * Watches from outside until no job is left. The clock starts when at most `counted` are left, so that
 * what was done before warms up. Rejects when a process ends.
 *
 * @param goOn - called when the clock has started, for a process that stands still until then.
 * @throws {TooFastError} when most was done before the clock could start.
 * @throws {BenchError} when nothing moves any more.
 */
export async function watchDrain(
  ground: Pick<Ground, 'left' | 'serverCpuMs'>,
  running: Running,
  handler: string,
  counted: number,
  goOn?: () => void,
): Promise<Values> {
  const left = () => ground.left(handler)
  const clientMs = () => cpuMsOf(running.pid)
  const serverMs = () => ground.serverCpuMs()
  return Promise.race([watch({ left, clientMs, serverMs, from: counted, goOn }), running.failure])
}

/** Waits until no job is left, without measuring. Rejects when the process ends. */
export async function untilEmpty(
  ground: Pick<Ground, 'left'>,
  running: Pick<Running, 'failure'>,
  handler: string,
): Promise<void> {
  let movedAt = performance.now()
  let last = Number.POSITIVE_INFINITY
  for (;;) {
    const left = await Promise.race([ground.left(handler), running.failure])
    if (left === 0) return
    if (left < last) movedAt = performance.now()
    last = left
    if (performance.now() - movedAt > stalledMs)
      throw new BenchError(`${left} jobs are left and nothing moves`)
    await wait(5)
  }
}

/** A drain by processes on one stage: all of them together are the client. */
export function watchStage(
  stage: Stage,
  running: readonly Running[],
  counted: number,
  goOn?: () => void,
): Promise<Values> {
  return watchUntil(stage, running, { from: counted, goOn })
}

/**
 * The same from when at most `from` jobs are left until at most `to` are.
 *
 * @param onLook - called at each look while the clock runs, with how many jobs are left.
 * @param goOn - as with `watchDrain`.
 */
export async function watchUntil(
  stage: Stage,
  running: readonly Running[],
  {
    from,
    to = 0,
    onLook,
    goOn,
  }: { from: number; to?: number; onLook?: (left: number) => void; goOn?: (() => void) | undefined },
): Promise<Values> {
  const left = async () => {
    const { messages } = (await stage.streams.streams.info(jobStream)).state
    if (messages <= from) onLook?.(messages)
    return messages
  }
  const clientMs = () => running.reduce((sum, { pid }) => sum + cpuMsOf(pid), 0)
  const watched = watch({ left, clientMs, serverMs: () => cpuMsOf(stage.broker.pid), from, to, goOn })
  const values = await Promise.race([watched, ...running.map(({ failure }) => failure)])
  return { ...values, rssMb: running.reduce((sum, { pid }) => sum + rssMbOf(pid), 0) }
}

async function watch({
  left,
  clientMs,
  serverMs,
  from,
  to = 0,
  goOn,
}: {
  left(): Promise<number>
  clientMs(): number
  serverMs(): number
  from: number
  to?: number
  goOn?: (() => void) | undefined
}): Promise<Values> {
  const read = async (): Promise<Reading> => ({
    left: await left(),
    at: performance.now(),
    clientMs: clientMs(),
    serverMs: serverMs(),
  })
  let last = await read()
  goOn?.()
  let first = last.left <= from ? last : undefined
  let movedAt = last.at
  let pauseMs = leastPauseMs
  while (last.left > to) {
    await wait(pauseMs)
    const now = await read()
    if (now.left < last.left) movedAt = now.at
    pauseMs = pauseAfter(last, now, now.left > from ? from : to)
    if (now.at - movedAt > stalledMs) throw new BenchError(`${now.left} jobs are left and nothing moves`)
    last = now
    if (now.left <= from) first ??= now
  }
  const jobs = first!.left - last.left
  if (jobs < (from - to) / 2) {
    throw new TooFastError(`only ${jobs} jobs were left when the clock started; ask for more with --jobs`)
  }
  const perJobUs = (ms: number) => (ms * 1_000) / jobs
  const clientCpuUs = perJobUs(last.clientMs - first!.clientMs)
  const serverCpuUs = perJobUs(last.serverMs - first!.serverMs)
  return {
    jobsPerSecond: jobs / ((last.at - first!.at) / 1_000),
    cpuUs: clientCpuUs + serverCpuUs,
    clientCpuUs,
    serverCpuUs,
    countedJobs: jobs,
  }
}

/** Several drains of the same process as one. */
export function joinValues(parts: readonly Values[]): Values {
  const jobs = parts.map(({ countedJobs }) => countedJobs!)
  const all = jobs.reduce((sum, count) => sum + count, 0)
  const mean = (key: string, of = (value: number) => value) =>
    parts.reduce((sum, values, index) => sum + of(values[key]!) * (jobs[index]! / all), 0)
  return {
    ...parts.at(-1)!,
    jobsPerSecond: 1 / mean('jobsPerSecond', (value) => 1 / value),
    cpuUs: mean('cpuUs'),
    clientCpuUs: mean('clientCpuUs'),
    serverCpuUs: mean('serverCpuUs'),
    countedJobs: all,
  }
}

/** Half of the time that it takes until only `target` jobs are left, as fast as they went since the last look. */
function pauseAfter(last: Reading, now: Reading, target: number): number {
  const went = last.left - now.left
  if (went <= 0) return leastPauseMs
  const expectedMs = ((now.left - target) * (now.at - last.at)) / went
  return Math.min(mostPauseMs, Math.max(leastPauseMs, expectedMs / 2))
}
