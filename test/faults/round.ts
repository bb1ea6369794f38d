import { eventually } from '../support/eventually.ts'
import type { Fault } from './fault.ts'
import type { Judgement } from './judge.ts'
import { evenShare, planSpecial } from './planned-job.ts'
import { Random } from './random.ts'
import { Stage } from './stage.ts'
import type { StageBroker } from './stage-broker.ts'

/** What one round is made of. */
export interface RoundOptions {
  readonly seed: number
  readonly broker: StageBroker
  /** Each list strikes one after the other; the lists beside each other. */
  readonly lanes: readonly Iterable<Fault>[]
  readonly supervisors: number
  /** Settings of the supervisors that differ from those of other rounds. */
  readonly env?: Record<string, string>
  readonly perSecond: number
  /** No more jobs are published while so many have not ended. */
  readonly mostOpen: number
  /** How often jobs do nothing but return, see `evenShare`. @default evenShare */
  readonly quick?: number
  readonly narrate: (line: string) => void
}

/** How a round went. */
export interface RoundReport extends Judgement {
  /** Faults that struck. */
  readonly struck: number
  /** Faults that could not be carried out, because another one stood in the way; in words. */
  readonly hindered: readonly string[]
  /** Faults that nobody meant, on a machine that was too busy. */
  readonly unmeant: number
}

/** How long jobs may take to run again after a fault is healed, on however slow a machine. */
const recoveryMs = 90_000
/** So many jobs come between two faults that strike one after the other. */
const jobsBetween = 20
let probes = 0

/** Lets the faults strike under a load, and judges when everything has ended. */
export async function playRound(options: RoundOptions): Promise<RoundReport> {
  const { seed, broker, lanes, perSecond, mostOpen, quick = evenShare, narrate } = options
  const stage = await Stage.open(broker, new Random(seed), options.supervisors, options.env)
  const hindered: string[] = []
  try {
    stage.load.start({ perSecond, mostOpen, quick, open: () => stage.open(mostOpen) })
    await Promise.all(
      lanes.map(async (faults) => {
        for (const fault of faults) {
          const startedAt = performance.now()
          try {
            await stage.strike(fault)
          } catch (error) {
            if (lanes.length === 1) throw error
            hindered.push(`${fault.name}: ${(error as Error).message}`)
          }
          if (lanes.length === 1) await goesOn(stage)
          narrate(`${fault.name}: ${Math.round(performance.now() - startedAt)} ms`)
        }
      }),
    )
    await stage.heal()
    await recovers(stage)
    const judgement = await stage.finish()
    for (const { fault, from, to } of stage.unmeant) narrate(`unmeant: ${fault}: ${Math.round(to - from)} ms`)
    return { ...judgement, struck: stage.struck, hindered, unmeant: stage.unmeant.length }
  } finally {
    await stage.close()
  }
}

/** Everybody is back, new jobs run, and the load goes on for a while before the next fault. */
async function goesOn(stage: Stage): Promise<void> {
  const { count } = stage.load
  await stage.ready(recoveryMs)
  await recovers(stage)
  await eventually('more jobs are published', () => stage.load.count >= count + jobsBetween, recoveryMs)
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
  await stage.progressing('new jobs run', async () => {
    const completed = await stage.accounted()
    return ids.every((id) => completed.has(id))
  })
}
