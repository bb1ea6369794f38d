import { cpus } from 'node:os'
import { accessFaults } from './catalogue/access-faults.ts'
import { brokerFaults } from './catalogue/broker-faults.ts'
import { clockFaults } from './catalogue/clock-faults.ts'
import { clusterFaults } from './catalogue/cluster-faults.ts'
import { jobFaults } from './catalogue/job-faults.ts'
import { networkFaults } from './catalogue/network-faults.ts'
import { supervisorFaults } from './catalogue/supervisor-faults.ts'
import { topologyFaults } from './catalogue/topology-faults.ts'
import type { Fault } from './fault.ts'
import { Random } from './random.ts'
import { playRound } from './round.ts'
import { ClusterBroker, SingleBroker } from './stage-broker.ts'

/** How long and how much. */
export interface MixedOptions {
  readonly seed: number
  /** Rounds go on until so many jobs were accepted. */
  readonly jobs: number
  /** No round begins after so long. */
  readonly minutes: number
  readonly narrate: (line: string) => void
}

/** What all rounds together showed. */
export interface MixedReport {
  readonly rounds: number
  readonly accepted: number
  readonly completed: number
  readonly dead: number
  readonly lostByBroker: number
  readonly runs: number
  readonly faults: number
  readonly hindered: number
  /** Runs of jobs that had completed, by the fault that explains each. */
  readonly duplicates: Readonly<Record<string, number>>
  /** What is not as it should be, with the seed of its round. */
  readonly findings: readonly string[]
  readonly seconds: number
}

const jobsPerRound = 25_000
const faultsPerLane = 14
/** One round in so many is a cluster's. */
const clusterEvery = 6
const supervisors = 3

/** What strikes the processes that we run, and what strikes around them; one of each at a time. */
const ours = [...supervisorFaults, ...jobFaults, ...clockFaults]
const around = [...brokerFaults, ...networkFaults, ...topologyFaults, ...accessFaults]

/** Plays rounds of mixed faults, each with a seed of its own that plays it again. */
export async function runMixed({ seed, jobs, minutes, narrate }: MixedOptions): Promise<MixedReport> {
  const startedAt = performance.now()
  const seconds = (): number => (performance.now() - startedAt) / 1_000
  const duplicates: Record<string, number> = {}
  const findings: string[] = []
  const sums = {
    rounds: 0,
    accepted: 0,
    completed: 0,
    dead: 0,
    lostByBroker: 0,
    runs: 0,
    faults: 0,
    hindered: 0,
  }
  while (sums.accepted < jobs && seconds() < minutes * 60) {
    const roundSeed = seed + sums.rounds
    sums.rounds += 1
    try {
      const report = await playMixed(roundSeed, Math.min(jobsPerRound, jobs - sums.accepted), narrate)
      for (const key of ['accepted', 'completed', 'dead', 'lostByBroker', 'runs'] as const)
        sums[key] += report[key]
      sums.faults += report.struck
      sums.hindered += report.hindered.length
      for (const [fault, count] of report.duplicates) duplicates[fault] = (duplicates[fault] ?? 0) + count
      findings.push(...report.findings.map((finding) => `seed ${roundSeed}: ${finding}`))
      for (const hindrance of report.hindered) narrate(`seed ${roundSeed}: hindered: ${hindrance}`)
      narrate(
        `round ${sums.rounds}, seed ${roundSeed}: ${report.accepted} jobs, ${report.struck} faults, ${report.findings.length} findings; in all ${sums.accepted} jobs, ${sums.faults} faults, ${findings.length} findings after ${Math.round(seconds())} s`,
      )
      for (const finding of report.findings.slice(0, 20)) narrate(`  ${finding}`)
    } catch (error) {
      findings.push(`seed ${roundSeed}: the round ended early: ${(error as Error).message}`)
      narrate(findings.at(-1)!)
    }
  }
  return { ...sums, duplicates, findings, seconds: seconds() }
}

/** Plays the round of this seed again. */
export async function playMixed(
  seed: number,
  jobs: number,
  narrate: (line: string) => void,
): ReturnType<typeof playRound> {
  const random = new Random(seed).fork(2)
  const isCluster = seed % clusterEvery === 0
  const draw = (faults: readonly Fault[]): Fault[] =>
    Array.from({ length: faultsPerLane }, () => random.pick(faults))
  // A cluster's supervisors have no links, and its servers no accounts.
  const lanes = isCluster
    ? [draw(supervisorFaults), draw(clusterFaults).slice(0, faultsPerLane / 2)]
    : [draw(ours), draw(around)]
  return playRound({
    seed,
    broker: isCluster ? await ClusterBroker.start() : await SingleBroker.start(),
    lanes,
    supervisors,
    perSecond: 400 * cpus().length,
    mostOpen: 1_000,
    jobs,
    narrate,
  })
}
