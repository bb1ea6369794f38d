import { eventually } from '../support/eventually.ts'
import type { Fault } from './fault.ts'
import type { Judgement } from './judge.ts'
import { planSpecial } from './planned-job.ts'
import { Random } from './random.ts'
import { Stage } from './stage.ts'
import { SingleBroker } from './stage-broker.ts'

/** What one round is made of. */
export interface RoundOptions {
  readonly seed: number
  readonly faults: readonly Fault[]
  readonly jobsPerSecond: number
  readonly supervisors: number
  readonly narrate: (line: string) => void
}

let probes = 0

/** Lets the faults strike one after the other under a load, and judges when everything has ended. */
export async function playRound(options: RoundOptions): Promise<Judgement> {
  const { seed, faults, narrate } = options
  const random = new Random(seed)
  const broker = await SingleBroker.start()
  const stage = await Stage.open(broker, random, options.supervisors)
  try {
    stage.load.start(options.jobsPerSecond, () => stage.open)
    for (const fault of faults) {
      const startedAt = performance.now()
      await stage.strike(fault)
      const struckMs = Math.round(performance.now() - startedAt)
      await recovers(stage)
      narrate(
        `${fault.name}: struck ${struckMs} ms, recovered after ${Math.round(performance.now() - startedAt)} ms; ${stage.open} open`,
      )
    }
    return await stage.finish()
  } finally {
    await stage.close()
  }
}

/** New jobs are published and run, on every pool. */
async function recovers(stage: Stage): Promise<void> {
  const ids: string[] = []
  for (const handler of ['cpu', 'io']) {
    probes += 1
    const id = `probe-${probes}`
    ids.push(id)
    await stage.load.publish(planSpecial(handler, id, { do: 'return' }))
  }
  await eventually(
    'new jobs run',
    async () => {
      const completed = await stage.accounted()
      return ids.every((id) => completed.has(id))
    },
    60_000,
  )
}
