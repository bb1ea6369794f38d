import path from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { startKeptProcess } from '#src/broker/kept-process.js'
import { BenchError } from '../bench-error.ts'
import { readRuns, recordsVariable } from '../measure/run-records.ts'
import type { Contestant } from './contestant.ts'
import { readMetrics, sumOf } from './metrics.ts'

const readyMs = 20_000
const recordsMs = 5_000

/** The supervisor as users run it, with its defaults: deadlines, retries, metrics and job logs are on. */
export const millrace: Contestant = {
  name: 'millrace',
  async start(stage, order) {
    const profile = order.profileDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${order.profileDir}`]
    const inherited = Object.entries(process.env).filter(([name]) => !/^(MILLRACE|NATS)_/.test(name))
    const child = await startKeptProcess({
      binary: process.execPath,
      args: [...profile, path.resolve(import.meta.dirname, '../../../dist/supervisor.js')],
      environment: {
        ...Object.fromEntries(inherited),
        [recordsVariable]: stage.dir,
        NATS_URL: stage.broker.url,
        MILLRACE_HANDLERS: order.handlersDir,
        MILLRACE_HTTP_PORT: '0',
        MILLRACE_DRAIN_MS: '1000',
        ...order.settings,
      },
    })
    const tail: string[] = []
    let stopping = false
    const failure = child.ended.then<never>(() => {
      if (stopping) return new Promise<never>(() => {})
      throw new BenchError(`the supervisor ended by itself; its last lines:\n${tail.join('\n')}`)
    })
    failure.catch(() => {})
    const listening = new Promise<string>((resolve) => {
      createInterface({ input: child.output! }).on('line', (line) => {
        tail.push(line)
        if (tail.length > 10) tail.shift()
        const url = /"url":"(http:[^"]+)".*"msg":"listening"/.exec(line)?.[1]
        if (url !== undefined) resolve(url)
      })
    })
    const stop = () => {
      stopping = true
      return child.stop()
    }
    try {
      const url = await Promise.race([listening, failure, timeOut(tail)])
      return {
        pid: child.pid,
        failure,
        stop,
        account: (jobs) => account(url, order.handler, jobs, stage.dir),
      }
    } catch (error) {
      await stop()
      throw error
    }
  },
}

/** Compares the supervisor's counters and the handlers' own records with the number of jobs. */
async function account(url: string, handler: string, jobs: number, dir: string): Promise<void> {
  const samples = await readMetrics(url)
  const counts = {
    completed: sumOf(samples, 'millrace_attempts_total', { handler, outcome: 'completed' }),
    attempts: sumOf(samples, 'millrace_attempts_total', { handler }),
    acked: sumOf(samples, 'millrace_jobs_settled_total', { handler, verdict: 'ack' }),
    settled: sumOf(samples, 'millrace_jobs_settled_total', { handler }),
  }
  for (const [name, count] of Object.entries(counts)) {
    if (count !== jobs) throw new BenchError(`the supervisor counts ${count} ${name}, not ${jobs}`)
  }
  const giveUpAt = Date.now() + recordsMs
  let runs = readRuns(dir, jobs)
  while (runs.total < jobs && Date.now() < giveUpAt) {
    await wait(50)
    runs = readRuns(dir, jobs)
  }
  if (runs.missing > 0 || runs.doubled > 0) {
    throw new BenchError(
      `of ${jobs} jobs the handler never ran ${runs.missing} and ran ${runs.doubled} twice`,
    )
  }
}

async function timeOut(tail: readonly string[]): Promise<never> {
  await wait(readyMs, undefined, { ref: false })
  throw new BenchError(`the supervisor was not up after ${readyMs} ms; its last lines:\n${tail.join('\n')}`)
}
