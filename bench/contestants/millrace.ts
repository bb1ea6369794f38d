import { randomUUID } from 'node:crypto'
import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { BenchError } from '../bench-error.ts'
import { recordsVariable } from '../measure/records.ts'
import { checkCounters } from '../stage/account.ts'
import type { Stage } from '../stage/stage.ts'
import { startChild } from './child.ts'
import type { Contestant, Order, Running } from './contestant.ts'
import { LogFile } from './log-file.ts'
import { readMetrics } from './metrics.ts'
import { onNats } from './nats-ground.ts'

/** A start takes a second; many times that on a machine with much else to do. */
const readyMs = 60_000
const handlersRoot = path.join(import.meta.dirname, '../handlers')

/** The supervisor as users run it, with its defaults: deadlines, retries, metrics and job logs are on. */
export const millrace: Contestant = millraceWith('millrace')

/** The same with other settings than the bench's, by environment variable. */
export function millraceWith(name: string, settings: Record<string, string> = {}): Contestant {
  return onNats(name, {
    ...(name === 'millrace' && {
      about:
        '`node dist/supervisor.js` with its defaults: deadlines, leases, retries, metrics and logs are on.',
    }),
    enqueuer: 'millrace',
    start: (stage, order) =>
      startMillrace(stage, order.handler, { ...settingsFor(order), ...order.settings, ...settings }),
    async check(handler, jobs, running) {
      if (running.readMetrics) checkCounters(await running.readMetrics(), handler, jobs)
    },
  })
}

function settingsFor({ concurrency }: Order): Record<string, string> {
  return concurrency === undefined ? {} : { MILLRACE_IO_CONCURRENCY: String(concurrency) }
}

/**
 * Starts a supervisor and waits until it takes jobs.
 *
 * @param folder - of `handlers/`, whose handlers it has.
 * @param settings - by environment variable.
 */
export async function startMillrace(
  stage: Stage,
  folder: string,
  settings: Record<string, string> = {},
): Promise<Running> {
  // One that is read from a pipe wakes this process up for each line, beside jobs that want the processor.
  const log = new LogFile(path.join(stage.dir, `supervisor-${randomUUID()}.log`))
  const child = await startChild(stage.options, {
    script: path.resolve(import.meta.dirname, '../../../dist/supervisor.js'),
    environment: {
      [recordsVariable]: stage.dir,
      NATS_URL: stage.broker.url,
      MILLRACE_HANDLERS: path.join(handlersRoot, folder),
      MILLRACE_THREADS: String(stage.options.threads),
      MILLRACE_HTTP_PORT: '0',
      MILLRACE_DRAIN_MS: '1000',
      ...settings,
    },
    isProfiled: true,
    logFile: log.path,
  })
  const url = await Promise.race([untilListening(log), child.failure, timeOut(child.tail)])
  await Promise.race([untilReady(url), child.failure, timeOut(child.tail)])
  let hasAllLines = true
  return {
    ...child,
    async readMetrics() {
      for (const lines of log.news()) hasAllLines &&= !lines.includes('"msg":"log lines dropped"')
      if (!hasAllLines) throw new BenchError('the supervisor has dropped lines of its log')
      return readMetrics(url)
    },
  }
}

async function untilListening(log: LogFile): Promise<string> {
  for (;;) {
    for (const lines of log.news()) {
      const url = /"url":"(http:[^"]+)".*"msg":"listening"/.exec(lines)?.[1]
      if (url !== undefined) return url
    }
    await wait(5)
  }
}

async function untilReady(url: string): Promise<void> {
  while (!(await fetch(`${url}/readyz`)).ok) await wait(20)
}

async function timeOut(tail: () => readonly string[]): Promise<never> {
  await wait(readyMs, undefined, { ref: false })
  throw new BenchError(
    `the supervisor was not ready after ${readyMs} ms; its last lines:\n${tail().join('\n')}`,
  )
}
