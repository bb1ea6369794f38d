import { readFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { BenchError } from '../bench-error.ts'
import type { Running } from '../contestants/contestant.ts'
import { sumOf } from '../contestants/metrics.ts'
import { millrace } from '../contestants/millrace.ts'
import { percentile } from '../measure/statistics.ts'
import type { Scenario } from '../scenario.ts'
import { checkDrained } from '../stage/account.ts'
import { pace } from '../stage/pace.ts'
import { preload } from '../stage/preload.ts'
import { type Stage, setStage } from '../stage/stage.ts'

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
    'A looping job leaves a sign of life in a file every 0.1 ms; its lateness is that of its last sign. The process of the floor ' +
    'could not end such a job at all, so there is none.',
  contestants: [millrace],
  measures: [
    { key: 'latenessP50', label: 'lateness of the end, p50, ms', digits: 1 },
    {
      key: 'latenessMax',
      label: 'lateness of the end, longest, ms',
      digits: 1,
      goal: { of: 'value', atMost: 20 },
    },
    {
      key: 'charged',
      label: 'neighbours charged with an attempt',
      digits: 0,
      goal: { of: 'value', atMost: 0 },
    },
    { key: 'restarted', label: 'neighbours started again', digits: 0 },
    {
      key: 'redelivered',
      label: 'neighbours redelivered by the server',
      digits: 0,
      goal: { of: 'value', atMost: 0 },
    },
  ],
  async run(contestant, { binary, quick, threads, profileDir }) {
    const stage = await setStage(binary, ['spin', 'steady'])
    try {
      const running = await contestant.start(stage, {
        handler: 'spin',
        handlersDir: path.join(import.meta.dirname, '../handlers/deadline'),
        settings: { MILLRACE_THREADS: String(threads) },
        profileDir,
      })
      const kills = quick ? 4 : 12
      const steady = Math.ceil(((kills * allowedMs) / 1_000) * steadyPerSecond)
      await preload(stage.connection, 'jobs.spin', kills, 64)
      await Promise.race([pace(stage, 'jobs.steady', steadyPerSecond, steady), running.failure])
      const samples = await Promise.race([untilEnded(running, kills, steady), running.failure])
      const outcomes = (outcome: string) =>
        sumOf(samples, 'millrace_attempts_total', { handler: 'steady', outcome })
      const redelivered = await deliveries(stage, steady)
      const lateness = readLateness(stage.dir, kills)
      return {
        latenessP50: percentile(lateness, 0.5),
        latenessMax: Math.max(...lateness),
        charged:
          sumOf(samples, 'millrace_attempts_total', { handler: 'steady' }) - steady - outcomes('interrupted'),
        restarted: outcomes('interrupted'),
        redelivered,
      }
    } finally {
      await stage.clear()
    }
  },
}

/** Waits until every looping job is a dead letter and every other one is acked. */
async function untilEnded(running: Running, kills: number, steady: number) {
  const giveUpAt = Date.now() + patienceMs
  for (;;) {
    const samples = await running.readMetrics!()
    const killed = sumOf(samples, 'millrace_dead_letters_total', { handler: 'spin', reason: 'deadline' })
    const acked = sumOf(samples, 'millrace_jobs_settled_total', { handler: 'steady', verdict: 'ack' })
    if (killed === kills && acked === steady) return samples
    if (Date.now() > giveUpAt) {
      throw new BenchError(
        `${killed} of ${kills} looping jobs are dead letters, ${acked} of ${steady} others are done`,
      )
    }
    await wait(50)
  }
}

/** How many deliveries of neighbours were not the first of their job. */
async function deliveries(stage: Stage, steady: number): Promise<number> {
  const { delivered } = await stage.streams.consumers.info('JOBS', 'steady')
  if (delivered.consumer_seq === steady) await checkDrained(stage, 'steady', steady)
  return delivered.consumer_seq - steady
}

function readLateness(dir: string, kills: number): number[] {
  return Array.from({ length: kills }, (_, n) => {
    const bytes = readFileSync(path.join(dir, `spin-${n}`))
    return bytes.readDoubleLE(8) - bytes.readDoubleLE(0) - allowedMs
  })
}
