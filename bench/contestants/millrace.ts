import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { BenchError } from '../bench-error.ts'
import { recordsVariable } from '../measure/records.ts'
import { startChild } from './child.ts'
import type { Contestant } from './contestant.ts'
import { readMetrics } from './metrics.ts'

const readyMs = 20_000

/** The supervisor as users run it, with its defaults: deadlines, retries, metrics and job logs are on. */
export const millrace: Contestant = {
  name: 'millrace',
  async start(stage, order) {
    let heard: (url: string) => void
    const listening = new Promise<string>((resolve) => {
      heard = resolve
    })
    const child = await startChild({
      script: path.resolve(import.meta.dirname, '../../../dist/supervisor.js'),
      environment: {
        [recordsVariable]: stage.dir,
        NATS_URL: stage.broker.url,
        MILLRACE_HANDLERS: order.handlersDir,
        MILLRACE_HTTP_PORT: '0',
        MILLRACE_DRAIN_MS: '1000',
        ...order.settings,
      },
      profileDir: order.profileDir,
      onLine: (line) => {
        const url = /"url":"(http:[^"]+)".*"msg":"listening"/.exec(line)?.[1]
        if (url !== undefined) heard(url)
      },
    })
    stage.onClear(() => child.stop())
    const url = await Promise.race([listening, child.failure, timeOut(child.tail)])
    await Promise.race([untilReady(url), child.failure, timeOut(child.tail)])
    return { ...child, readMetrics: () => readMetrics(url) }
  },
}

async function untilReady(url: string): Promise<void> {
  while (!(await fetch(`${url}/readyz`)).ok) await wait(20)
}

async function timeOut(tail: readonly string[]): Promise<never> {
  await wait(readyMs, undefined, { ref: false })
  throw new BenchError(
    `the supervisor was not ready after ${readyMs} ms; its last lines:\n${tail.join('\n')}`,
  )
}
