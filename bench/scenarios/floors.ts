import path from 'node:path'
import { runChild } from '../contestants/child.ts'
import { recordsVariable } from '../measure/records.ts'
import type { Named, Scenario, Values } from '../scenario.ts'
import { setStage } from '../stage/stage.ts'

/** One step of a job's way, alone; a mode of `contestants/step.ts`. */
type Step = Named & { readonly mode: 'publish' | 'run' | 'run ahead'; readonly jobs: number }

const steps: readonly Step[] = [
  { name: 'one JetStream publish', mode: 'publish', jobs: 4_000 },
  { name: 'one piscina.run()', mode: 'run', jobs: 10_000 },
  { name: '500 piscina.run() under way', mode: 'run ahead', jobs: 40_000 },
]

/** What the steps of a job cost by themselves, to judge the rest by. */
export const floors: Scenario = {
  name: 'floors',
  title: 'Single steps',
  method:
    'A publish to a stream in a file and its confirmation, written by hand to a socket, one after the other; `run()` of a bare Piscina with two ' +
    "threads, no signal and `atomics: 'disabled'`, without which a thread that waits looks after nothing else, " +
    'the job a string of 256 bytes that the thread parses, one after the other, and with 500 under way. The first tenth does not count.',
  contestants: steps,
  floor: '',
  measures: [
    { key: 'perSecond', label: 'a second', digits: 0 },
    { key: 'cpuUs', label: 'CPU of the process, µs', digits: 1 },
  ],
  async run(named, options): Promise<Values> {
    const { mode, jobs } = named as Step
    const count = options.quick ? Math.ceil(jobs / 10) : jobs
    const stage = await setStage(options, ['noop'])
    return runChild<Values>(options, {
      script: path.join(import.meta.dirname, '../contestants/step.js'),
      args: [stage.broker.url, mode, String(count), String(options.threads)],
      environment: { [recordsVariable]: stage.dir },
      isProfiled: true,
    })
  },
}
