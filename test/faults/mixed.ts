import { cpus } from 'node:os'
import { accessFaults } from './catalogue/access-faults.ts'
import { brokerFaults } from './catalogue/broker-faults.ts'
import { clockFaults } from './catalogue/clock-faults.ts'
import { clusterFaults } from './catalogue/cluster-faults.ts'
import { jobFaults } from './catalogue/job-faults.ts'
import { networkFaults } from './catalogue/network-faults.ts'
import { crashFaults, supervisorFaults } from './catalogue/supervisor-faults.ts'
import { topologyFaults } from './catalogue/topology-faults.ts'
import type { Fault } from './fault.ts'
import { Random } from './random.ts'
import { playRound, type RoundReport } from './round.ts'
import { ClusterBroker, SingleBroker } from './stage-broker.ts'
import { playStorm } from './storm.ts'

/** How long and how much. */
export interface MixedOptions {
  readonly seed: number
  /** Rounds go on until so many jobs were accepted, besides those that a fault deleted. */
  readonly jobs: number
  /** And until so many faults have struck. */
  readonly faults: number
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
  /** Messages of jobs that have ended, which brokers that were killed show again. */
  readonly stranded: number
  readonly faults: number
  readonly hindered: number
  /** Faults that nobody meant: this machine was too busy. */
  readonly unmeant: number
  /** Runs of jobs that had completed, by the fault that explains each. */
  readonly duplicates: Readonly<Record<string, number>>
  /** What is not as it should be, with the seed of its round. */
  readonly findings: readonly string[]
  readonly seconds: number
}

/** After so long a lane begins with no fault any more: some take a moment, some a minute. */
const roundMs = 120_000
/** So that a round is not about threads that are started again: one job in fifteen does something else than return. */
const quick = 8_000
/** A fault that deletes jobs strikes so many times less often than another one. */
const losingSeldom = 6
/** One round in so many is a cluster's. */
const clusterEvery = 10
/** Three servers that share this machine with everything else elect no leader without a fault at this pace. */
const clusterPace = { perSecond: 200, mostOpen: 1_000 }
const pace = { perSecond: 1_000 * cpus().length, mostOpen: 10_000 }
const supervisors = 4
/** Supervisors that lose the broker at once. */
const stormSize = 50

/** What strikes the processes that we run, the broker's own process, and what is between and inside: one of each. */
const ours = [...supervisorFaults, ...crashFaults, ...jobFaults, ...clockFaults]
const server = [...brokerFaults, ...accessFaults]
const between = seldomLosing([...networkFaults, ...topologyFaults])

/** Lets a fleet that is large for this machine lose its broker. */
export async function runStorm(narrate: (line: string) => void): Promise<MixedReport> {
  const tally = new Tally(narrate)
  await tally.count('storm', () => playStorm(stormSize, narrate))
  return tally.report()
}

/** Plays rounds of mixed faults, each with a seed of its own that plays it again. */
export async function runMixed({ seed, jobs, faults, minutes, narrate }: MixedOptions): Promise<MixedReport> {
  const tally = new Tally(narrate)
  const isEnough = (): boolean => tally.kept >= jobs && tally.faults >= faults
  for (let next = seed; !isEnough() && tally.seconds < minutes * 60; next += 1) {
    await tally.count(`seed ${next}`, () => playMixed(next, narrate))
  }
  return tally.report()
}

/** Adds rounds up. */
class Tally {
  readonly #narrate: (line: string) => void
  readonly #startedAt = performance.now()
  readonly #sums = {
    rounds: 0,
    accepted: 0,
    completed: 0,
    dead: 0,
    lostByBroker: 0,
    runs: 0,
    stranded: 0,
    faults: 0,
    hindered: 0,
    unmeant: 0,
  }
  readonly #duplicates: Record<string, number> = {}
  readonly #findings: string[] = []

  constructor(narrate: (line: string) => void) {
    this.#narrate = narrate
  }

  /** Jobs that the broker accepted, and nobody deleted. */
  get kept(): number {
    return this.#sums.accepted - this.#sums.lostByBroker
  }

  /** Faults that were carried out to their end. */
  get faults(): number {
    return this.#sums.faults
  }

  get seconds(): number {
    return (performance.now() - this.#startedAt) / 1_000
  }

  async count(name: string, play: () => Promise<RoundReport>): Promise<void> {
    const sums = this.#sums
    sums.rounds += 1
    try {
      const report = await play()
      for (const key of ['accepted', 'completed', 'dead', 'lostByBroker', 'runs', 'stranded'] as const)
        sums[key] += report[key]
      sums.faults += report.struck - report.hindered.length
      sums.hindered += report.hindered.length
      sums.unmeant += report.unmeant
      for (const [fault, count] of report.duplicates) {
        this.#duplicates[fault] = (this.#duplicates[fault] ?? 0) + count
      }
      this.#findings.push(...report.findings.map((finding) => `${name}: ${finding}`))
      for (const line of [...report.hindered, ...report.findings.slice(0, 20)])
        this.#narrate(`  ${name}: ${line}`)
      this.#narrate(
        `${name}: ${report.accepted} jobs, ${report.struck} faults, ${report.findings.length} findings; in all ${sums.accepted} jobs, ${sums.faults} faults, ${this.#findings.length} findings after ${Math.round(this.seconds)} s`,
      )
    } catch (error) {
      this.#findings.push(`${name}: the round ended early: ${(error as Error).message}`)
      this.#narrate(this.#findings.at(-1)!)
    }
  }

  report(): MixedReport {
    return { ...this.#sums, duplicates: this.#duplicates, findings: this.#findings, seconds: this.seconds }
  }
}

/** Jobs that are deleted with their stream prove little. */
function seldomLosing(faults: readonly Fault[]): Fault[] {
  const [losing, others] = [true, false].map((is) =>
    faults.filter(({ powers }) => powers.includes('lose') === is),
  ) as [Fault[], Fault[]]
  return [...losing, ...Array.from({ length: losingSeldom }, () => others).flat()]
}

/** Fault after fault, the same ones for the same random, until a round has lasted long enough. */
function* drawn(random: Random, faults: readonly Fault[]): Iterable<Fault> {
  const startedAt = performance.now()
  while (performance.now() - startedAt < roundMs) yield random.pick(faults)
}

/** Plays the round of this seed again. */
export async function playMixed(seed: number, narrate: (line: string) => void): Promise<RoundReport> {
  const random = new Random(seed).fork(2)
  const isCluster = seed % clusterEvery === 0
  // A cluster's supervisors have no links, and its servers no accounts.
  const drawnFrom = isCluster
    ? [[...supervisorFaults, ...crashFaults], clusterFaults]
    : [ours, server, between]
  return playRound({
    seed,
    broker: isCluster ? await ClusterBroker.start() : await SingleBroker.start(),
    lanes: drawnFrom.map((faults, lane) => drawn(random.fork(lane), faults)),
    supervisors,
    ...(isCluster ? clusterPace : pace),
    quick,
    narrate,
  })
}
