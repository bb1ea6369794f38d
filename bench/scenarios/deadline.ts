import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { BenchError } from '../bench-error.ts'
import type { Running } from '../contestants/contestant.ts'
import { type Sample, sumOf } from '../contestants/metrics.ts'
import { startMillrace } from '../contestants/millrace.ts'
import { percentile } from '../measure/statistics.ts'
import type { Scenario } from '../scenario.ts'
import { checkDrained } from '../stage/account.ts'
import { pace } from '../stage/pace.ts'
import { preload } from '../stage/preload.ts'
import { jobStream, type Stage, setStage } from '../stage/stage.ts'

/** Deadline and grace of the handler `spin`. */
const allowedMs = 300
const steadyPerSecond = 500
const patienceMs = 20_000

/** How punctually jobs are ended that never end by themselves, and what their neighbours notice. */
export const deadline: Scenario = {
  name: 'deadline',
  title: 'Jobs that never end, killed at their deadline',
  method:
    `Jobs that loop for ever (deadline and grace together ${allowedMs} ms, one at a time) beside ${steadyPerSecond} short ones a second. ` +
    'A looping job leaves a sign of life in a file every 0.1 ms; its lateness is that of its last sign. A loop in one process ' +
    'could not end such a job at all, so there is nothing to compare with.',
  contestants: [{ name: 'millrace', isOwn: true }],
  measures: [
    { key: 'latenessP50', label: 'lateness of the end, p50, ms', digits: 1 },
    { key: 'latenessMax', label: 'longest, ms', digits: 1 },
    { key: 'charged', label: 'neighbours charged with an attempt', digits: 0 },
    { key: 'restarted', label: 'started again', digits: 0 },
    { key: 'redelivered', label: 'redelivered by the server', digits: 0 },
  ],
  goals: [
    { measure: 'latenessMax', of: 'millrace', atMost: 20 },
    { measure: 'charged', of: 'millrace', atMost: 0 },
    { measure: 'redelivered', of: 'millrace', atMost: 0 },
  ],
  async run(_contestant, options) {
    const stage = await setStage(options, ['spin', 'steady'])
    const running = await startMillrace(stage, 'deadline')
    const kills = options.quick ? 3 : 12
    const steady = Math.ceil(((kills * allowedMs) / 1_000) * steadyPerSecond)
    await preload(stage.connection, 'jobs.spin', kills, 64)
    await Promise.race([pace(stage, 'jobs.steady', steadyPerSecond, steady), running.failure])
    const samples = await Promise.race([untilEnded(running, kills, steady), running.failure])
    const interrupted = attemptsOf(samples, 'steady', 'interrupted')
    const lateness = readLateness(stage.dir, kills, allowedMs)
    return {
      latenessP50: percentile(lateness, 0.5),
      latenessMax: Math.max(...lateness),
      charged: attemptsOf(samples, 'steady') - steady - interrupted,
      restarted: interrupted,
      redelivered: await redeliveriesOf(stage, 'steady', steady),
    }
  },
}

/** Each look costs the supervisor a page of metrics. */
const lookMs = 50

/** Counted attempts of a handler, all or those with one outcome. */
export function attemptsOf(samples: readonly Sample[], handler: string, outcome?: string): number {
  const labels = outcome === undefined ? { handler } : { handler, outcome }
  return sumOf(samples, 'millrace_attempts_total', labels)
}

/**
 * Waits until every job of `spin` is a dead letter and every one of `steady` is acked.
 *
 * @throws {BenchError} when that takes too long.
 */
export async function untilEnded(running: Running, kills: number, steady: number): Promise<Sample[]> {
  let movedAt = Date.now()
  let lastSum = -1
  for (;;) {
    const samples = await running.readMetrics!()
    const killed = sumOf(samples, 'millrace_dead_letters_total', { handler: 'spin', reason: 'deadline' })
    const acked = sumOf(samples, 'millrace_jobs_settled_total', { handler: 'steady', verdict: 'ack' })
    if (killed === kills && acked === steady) return samples
    if (killed + acked !== lastSum) movedAt = Date.now()
    lastSum = killed + acked
    if (Date.now() - movedAt > patienceMs) {
      throw new BenchError(
        `${killed} of ${kills} looping jobs are dead letters, ${acked} of ${steady} others are done`,
      )
    }
    await wait(lookMs)
  }
}

/** How many deliveries of neighbours were not the first of their job. */
export async function redeliveriesOf(stage: Stage, handler: string, jobs: number): Promise<number> {
  const { delivered } = await stage.streams.consumers.info(jobStream, handler)
  if (delivered.consumer_seq === jobs) await checkDrained(stage, handler, jobs)
  return delivered.consumer_seq - jobs
}

/**
 * How long after its deadline and grace each of the looping jobs last showed that it lived. A job that was
 * ended before it could is left out, as its thread had no processor in all the time that it had.
 *
 * @throws {BenchError} when that is most of them.
 */
export function readLateness(dir: string, kills: number, allowed: number): number[] {
  const lateness = Array.from({ length: kills }, (_, n) => {
    const file = path.join(dir, `spin-${n}`)
    const bytes = existsSync(file) ? readFileSync(file) : Buffer.alloc(0)
    return bytes.length < 16 ? [] : [bytes.readDoubleLE(8) - bytes.readDoubleLE(0) - allowed]
  }).flat()
  if (lateness.length < kills / 2)
    throw new BenchError(`only ${lateness.length} of ${kills} looping jobs showed that they lived`)
  return lateness
}
