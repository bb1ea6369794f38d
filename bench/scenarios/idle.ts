import { setTimeout as wait } from 'node:timers/promises'
import { bare } from '../contestants/bare.ts'
import type { Contestant } from '../contestants/contestant.ts'
import { millrace } from '../contestants/millrace.ts'
import { bullmqBest, graphileWorkers, pgBoss } from '../contestants/peers.ts'
import { cpuMsOf, rssMbOf } from '../measure/process-usage.ts'
import type { Scenario } from '../scenario.ts'

const handler = 'noop'

/** What a process costs that has nothing to do. */
export const idle: Scenario = {
  name: 'idle',
  title: 'Idle',
  method:
    'A process that has started and never had a job, from fifteen to thirty-five seconds after it was ready: what starting leaves to do is over by then. ' +
    'Millrace collects its garbage a second after the start, and V8 collects twice more within ten seconds; others leave that to V8. CPU time is that of all its threads; ' +
    'memory is what of it is in RAM (RSS) at the end. Compared with a waiting `consume()`. What it takes under load is in the table of the drain.',
  contestants: [bare, millrace, bullmqBest[1]!, graphileWorkers[0]!, pgBoss],
  quick: [millrace.name],
  measures: [
    { key: 'rssMb', label: 'memory, MB', digits: 0 },
    { key: 'cpuPercent', label: 'CPU, % of a core', digits: 2 },
    { key: 'serverCpuPercent', label: 'CPU of the server, % of a core', digits: 2 },
  ],
  goals: [
    { measure: 'rssMb', of: 'millrace', atMost: 110 },
    { measure: 'cpuPercent', of: 'millrace', atMost: 0.5 },
  ],
  async run(contestant, options) {
    const ground = await (contestant as Contestant).open(options, [handler])
    const running = await ground.start({ handler, jobs: 0 })
    await wait(options.quick ? 300 : 15_000)
    const before = [performance.now(), cpuMsOf(running.pid), ground.serverCpuMs()] as const
    await wait(options.quick ? 700 : 20_000)
    const elapsedMs = performance.now() - before[0]
    return {
      rssMb: rssMbOf(running.pid),
      cpuPercent: ((cpuMsOf(running.pid) - before[1]) / elapsedMs) * 100,
      serverCpuPercent: ((ground.serverCpuMs() - before[2]) / elapsedMs) * 100,
    }
  },
}
