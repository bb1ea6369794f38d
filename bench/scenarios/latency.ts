import path from 'node:path'
import { bare } from '../contestants/bare.ts'
import { millrace } from '../contestants/millrace.ts'
import { percentile } from '../measure/statistics.ts'
import type { Scenario } from '../scenario.ts'
import { checkCounters, checkDrained, collectRecords } from '../stage/account.ts'
import { pace } from '../stage/pace.ts'
import { setStage } from '../stage/stage.ts'

const handler = 'stamp'
const perSecond = 100

/** How long a job is on its way while there is little to do. */
export const latency: Scenario = {
  name: 'latency',
  title: `From publish to start, ${perSecond} jobs/s`,
  method:
    `A process publishes ${perSecond} jobs a second at instants fixed beforehand, whatever becomes of them; the handler notes how long ` +
    'after its instant it starts. The first second does not count. The floor notes the same in the callback of `consume()`, in one process.',
  contestants: [bare, millrace],
  measures: [
    { key: 'p50', label: 'p50, ms', digits: 2, against: 'difference', goal: { of: 'floor', atMost: 0.3 } },
    { key: 'p99', label: 'p99, ms', digits: 2, against: 'difference', goal: { of: 'floor', atMost: 1 } },
    { key: 'max', label: 'longest, ms', digits: 1, against: 'difference' },
  ],
  async run(contestant, { binary, quick, threads, profileDir }) {
    const stage = await setStage(binary, [handler])
    try {
      const running = await contestant.start(stage, {
        handler,
        handlersDir: path.join(import.meta.dirname, '../handlers/latency'),
        settings: { MILLRACE_THREADS: String(threads) },
        profileDir,
      })
      const jobs = perSecond * (quick ? 2 : 6)
      await Promise.race([pace(stage, `jobs.${handler}`, perSecond, jobs), running.failure])
      await checkDrained(stage, handler, jobs)
      if (running.readMetrics) checkCounters(await running.readMetrics(), handler, jobs)
      const counted = [...(await collectRecords(stage.dir, jobs))].slice(perSecond)
      return { p50: percentile(counted, 0.5), p99: percentile(counted, 0.99), max: Math.max(...counted) }
    } finally {
      await stage.clear()
    }
  },
}
