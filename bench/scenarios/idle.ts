import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { bare } from '../contestants/bare.ts'
import { millrace } from '../contestants/millrace.ts'
import { cpuMsOf, rssMbOf } from '../measure/process-usage.ts'
import type { Scenario } from '../scenario.ts'
import { setStage } from '../stage/stage.ts'

const handler = 'nothing'

/** What a process costs that has nothing to do. */
export const idle: Scenario = {
  name: 'idle',
  title: 'Idle',
  method:
    'A process that has started and never had a job, from two to seven seconds after it was ready. CPU time is that of all its threads; ' +
    'memory is what of it is in RAM (RSS) at the end. The floor is a waiting `consume()`.',
  contestants: [bare, millrace],
  measures: [
    { key: 'rssMb', label: 'memory, MB', digits: 0, goal: { of: 'value', atMost: 120 } },
    {
      key: 'cpuPercent',
      label: 'CPU, % of a core',
      digits: 2,
      against: 'difference',
      goal: { of: 'value', atMost: 0.5 },
    },
    { key: 'serverCpuPercent', label: 'CPU of the server, % of a core', digits: 2, against: 'difference' },
  ],
  async run(contestant, { binary, quick, threads, profileDir }) {
    const stage = await setStage(binary, [handler])
    try {
      const running = await contestant.start(stage, {
        handler,
        handlersDir: path.join(import.meta.dirname, '../handlers/idle'),
        settings: { MILLRACE_THREADS: String(threads) },
        profileDir,
      })
      await wait(quick ? 500 : 2_000)
      const before = [performance.now(), cpuMsOf(running.pid), cpuMsOf(stage.broker.pid)] as const
      await wait(quick ? 1_000 : 5_000)
      const elapsedMs = performance.now() - before[0]
      return {
        rssMb: rssMbOf(running.pid),
        cpuPercent: ((cpuMsOf(running.pid) - before[1]) / elapsedMs) * 100,
        serverCpuPercent: ((cpuMsOf(stage.broker.pid) - before[2]) / elapsedMs) * 100,
      }
    } finally {
      await stage.clear()
    }
  },
}
