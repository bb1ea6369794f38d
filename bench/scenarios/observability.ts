import { startMillrace } from '../contestants/millrace.ts'
import type { Named, Scenario } from '../scenario.ts'
import { checkCounters, checkDrained } from '../stage/account.ts'
import { preload } from '../stage/preload.ts'
import { setStage } from '../stage/stage.ts'
import { withWarmUp } from '../stage/warm-up.ts'
import { watchStage } from '../stage/watch.ts'
import { drainMeasures } from './drain.ts'

const handler = 'noop'
const scrapeMs = 100

type Variant = Named & { readonly settings: Record<string, string>; readonly isScraped?: boolean }

const variants: readonly Variant[] = [
  { name: 'as it comes', isOwn: true, settings: {} },
  { name: 'no lines for jobs', isOwn: true, settings: { MILLRACE_JOB_LOGS: 'errors' } },
  { name: 'lines for every job', isOwn: true, settings: { MILLRACE_JOB_LOGS: 'all' } },
  { name: 'metrics read 10 × a second', isOwn: true, settings: {}, isScraped: true },
]

/** What it costs to see what goes on. */
export const observability: Scenario = {
  name: 'observability',
  title: 'Drain with more or less to see',
  method:
    'The drain by Millrace: with its defaults, which is metrics and, above 500 jobs a second, one line a second for each handler; with lines for ' +
    'failures only; with two lines for every job, written to a pipe; and with its metrics read ten times a second. Metrics are always counted.',
  contestants: variants,
  quick: ['lines for every job'],
  measures: drainMeasures,
  async run(named, options) {
    const { settings, isScraped } = named as Variant
    const stage = await setStage(options, [handler])
    const jobs = Math.ceil(options.jobs / 2)
    const all = withWarmUp(jobs)
    await preload(stage.connection, `jobs.${handler}`, all, 256)
    const running = await startMillrace(stage, handler, settings)
    const scrape = setInterval(() => {
      if (isScraped) running.readMetrics!().catch(() => {})
    }, scrapeMs)
    try {
      const values = await watchStage(stage, [running], jobs)
      await checkDrained(stage, handler, all)
      checkCounters(await running.readMetrics!(), handler, all)
      return values
    } finally {
      clearInterval(scrape)
    }
  },
}
