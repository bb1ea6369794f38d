import { startMillrace } from '../contestants/millrace.ts'
import type { Named, Scenario } from '../scenario.ts'
import { checkCounters, checkDrained, collectRecords } from '../stage/account.ts'
import { preload } from '../stage/preload.ts'
import { setStage } from '../stage/stage.ts'
import { drainWarm } from '../stage/warm-drain.ts'
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
    'The drain of half as many jobs by Millrace: with its defaults, which is metrics and, above 500 jobs a second, one line a second for each handler; with lines for ' +
    'failures only; with two lines for every job, written to a file; and with its metrics read ten times a second. Metrics are always counted.',
  contestants: variants,
  quick: ['lines for every job'],
  measures: drainMeasures,
  async run(named, options) {
    const { settings, isScraped } = named as Variant
    const stage = await setStage(options, [handler])
    let scrape: NodeJS.Timeout | undefined
    try {
      const { values, running, all } = await drainWarm(
        stage,
        Math.ceil(options.jobs / 2),
        (first, count) => preload(stage.connection, `jobs.${handler}`, count, 256, undefined, first),
        async () => {
          const supervisor = await startMillrace(stage, handler, settings)
          scrape = setInterval(() => {
            if (isScraped) supervisor.readMetrics!().catch(() => {})
          }, scrapeMs)
          return [supervisor]
        },
      )
      await checkDrained(stage, handler, all)
      checkCounters(await running[0]!.readMetrics!(), handler, all)
      await collectRecords(stage.dir, handler, all)
      return values
    } finally {
      clearInterval(scrape)
    }
  },
}
