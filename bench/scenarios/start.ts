import { bare } from '../contestants/bare.ts'
import type { Contestant } from '../contestants/contestant.ts'
import { millrace } from '../contestants/millrace.ts'
import { bullmqBest, graphileWorkers, pgBoss } from '../contestants/peers.ts'
import { monotonicMs } from '../measure/monotonic.ts'
import type { Scenario } from '../scenario.ts'
import { collectRecords } from '../stage/account.ts'
import { untilEmpty } from '../stage/watch.ts'

const handler = 'stamp'

/** How soon a process that starts is of use. */
export const start: Scenario = {
  name: 'start',
  title: 'From the start of a process to its first job',
  method:
    'A job waits; then a process is started. Measured is the time from before the process is made until the job starts, on the one clock that both ' +
    'share. Millrace creates its streams and buckets in that time, as on its first start anywhere.',
  contestants: [bare, millrace, bullmqBest[1]!, graphileWorkers[0]!, pgBoss],
  measures: [{ key: 'firstJobMs', label: 'ms', digits: 0 }],
  async run(named, options) {
    const ground = await (named as Contestant).open(options, [handler])
    // It does not say when it was sent, so its record is the instant at which it starts.
    await ground.fill(handler, 1, 64)
    const beganAt = monotonicMs()
    const running = await ground.start({ handler, jobs: 1 })
    await untilEmpty(ground, running, handler)
    await ground.checkDone(handler, 1, running)
    const [startedAt] = (await collectRecords(ground.dir, handler, 1)).values
    return { firstJobMs: startedAt! - beganAt }
  },
}
