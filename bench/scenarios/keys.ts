import { headers } from '@nats-io/transport-node'
import { startMillrace } from '../contestants/millrace.ts'
import type { Scenario } from '../scenario.ts'
import { checkCounters, checkDrained, collectRecords } from '../stage/account.ts'
import { preload } from '../stage/preload.ts'
import { setStage } from '../stage/stage.ts'
import { drainWarm } from '../stage/warm-drain.ts'
import { drainMeasures } from './drain.ts'

const handler = 'noop'
const keyCount = 10_000
const title = keyCount.toLocaleString('en-US')

/** What it costs that jobs of a key run one at a time and in order. */
export const keys: Scenario = {
  name: 'keys',
  title: `Drain of no-op jobs with ${title} keys`,
  method:
    `The drain above with half as many jobs, by Millrace both times: first jobs without a header, then jobs of which each has one of ${title} keys ` +
    'in `Millrace-Key`, drawn at random.',
  contestants: [
    { name: 'without keys', isOwn: true },
    { name: 'with keys', isOwn: true },
  ],
  quick: ['with keys'],
  measures: drainMeasures,
  goals: [{ measure: 'jobsPerSecond', of: 'with keys', against: ['without keys'], atLeast: 0.5 }],
  async run({ name }, options) {
    const stage = await setStage(options, [handler])
    const headersOf = name === 'with keys' ? randomKey : undefined
    const { values, running, all } = await drainWarm(
      stage,
      Math.ceil(options.jobs / 2),
      (first, count) => preload(stage.connection, `jobs.${handler}`, count, 256, headersOf, first),
      async () => [await startMillrace(stage, handler)],
    )
    await checkDrained(stage, handler, all)
    checkCounters(await running[0]!.readMetrics!(), handler, all)
    await collectRecords(stage.dir, handler, all)
    return values
  },
}

function randomKey() {
  const own = headers()
  own.set('Millrace-Key', `customer-${Math.floor(Math.random() * keyCount)}`)
  return own
}
