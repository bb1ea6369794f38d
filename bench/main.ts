import { BenchError } from './bench-error.ts'
import { type Run, runOnce } from './run-scenario.ts'
import type { BenchOptions, Named, Scenario } from './scenario.ts'
import { cpu } from './scenarios/cpu.ts'
import { deadline } from './scenarios/deadline.ts'
import { drain, drain4k } from './scenarios/drain.ts'
import { enqueue } from './scenarios/enqueue.ts'
import { floors } from './scenarios/floors.ts'
import { idle } from './scenarios/idle.ts'
import { io } from './scenarios/io.ts'
import { keys } from './scenarios/keys.ts'
import { latency100, latency2000, latencyNearCapacity } from './scenarios/latency.ts'
import { mixed } from './scenarios/mixed.ts'
import { observability } from './scenarios/observability.ts'
import { backlog, growth, handlers, supervisors } from './scenarios/scale.ts'
import { start } from './scenarios/start.ts'
import { deadlineStorm, redeliveryStorm } from './scenarios/storms.ts'
import { type ScenarioResult, summarise } from './summary.ts'

/** Every scenario, in the order of the report. */
export const scenarios: readonly Scenario[] = [
  drain,
  drain4k,
  floors,
  enqueue,
  latency100,
  latency2000,
  latencyNearCapacity,
  cpu,
  io,
  mixed,
  deadline,
  deadlineStorm,
  redeliveryStorm,
  keys,
  backlog,
  growth,
  handlers,
  supervisors,
  start,
  idle,
  observability,
]

/** Of a drain in the round that does not count. */
const warmUpJobs = 20_000
/** After so many measured runs without a number a contestant is left out of the scenario: they often take long. */
const mostFailures = 2

/** What a run of the benchmarks came to. */
export type BenchResult = {
  readonly results: readonly ScenarioResult[]
  /** Whether time was over before all rounds were done. */
  readonly isCutShort: boolean
}

/**
 * Runs the scenarios, never two contestants at once.
 *
 * 1. A round has every contestant of every scenario once. So whatever else the machine does in the course of
 *    an hour meets all of them, and a run that is ended early has fewer rounds instead of fewer scenarios.
 * 2. Each round turns the order of the contestants round, so that none always follows the same one.
 * 3. A run without a number does not end the others.
 *
 * @param from - the scenarios that there are; only tests have others.
 * @throws {BenchError} when a scenario's name is unknown, or nobody's name has what was asked for.
 */
export async function runBench(
  options: BenchOptions,
  from: readonly Scenario[] = scenarios,
): Promise<BenchResult> {
  const chosen = choose(options.only, from)
  checkContestants(options.contestants, chosen)
  const runs: Run[] = [...(options.journal?.runs ?? [])]
  const endAt = Date.now() + options.minutes * 60_000
  // Warms the machine's caches and shows that everything works; each run has processes of its own anyway.
  const warmUp = { ...options, quick: true, jobs: Math.min(options.jobs, warmUpJobs) }
  let isCutShort = false
  for (let round = options.warmUp ? 0 : 1; round <= options.rounds; round += 1) {
    for (const scenario of chosen) {
      for (const contestant of orderOf(scenario, round, options)) {
        if (runs.some((run) => isRunOf(run, scenario, contestant) && run.round === round)) continue
        if (hasFailedTooOften(runs, scenario, contestant)) continue
        isCutShort ||= Date.now() > endAt
        if (isCutShort) break
        const run = await runOnce(scenario, contestant, round, round === 0 ? warmUp : options)
        runs.push(run)
        options.journal?.add(run)
      }
    }
  }
  return {
    results: chosen.map((scenario) => summarise(scenario, runs)).filter(({ rows }) => rows.length > 0),
    isCutShort,
  }
}

function choose(only: readonly string[], from: readonly Scenario[]): Scenario[] {
  const unknown = only.find((name) => !from.some((scenario) => scenario.name === name))
  if (unknown !== undefined) {
    const names = from.map((scenario) => scenario.name).join(', ')
    throw new BenchError(`there is no scenario ${unknown}; there are ${names}`)
  }
  return from.filter(({ name }) => only.length === 0 || only.includes(name))
}

function checkContestants(parts: readonly string[], chosen: readonly Scenario[]): void {
  const all = chosen.flatMap(({ contestants }) => contestants)
  const missing = all.filter((one) => one.isAvailable?.() === false)
  const taking = [...new Set(all.filter((one) => !missing.includes(one)).map(({ name }) => name))]
  for (const part of parts) {
    if (taking.some((name) => isNamed(name, part))) continue
    const isPeer = missing.some(({ name }) => isNamed(name, part))
    const there = isPeer ? 'only with --peers, and if it can be had' : `there are ${taking.join('; ')}`
    throw new BenchError(`nobody who takes part has ${JSON.stringify(part)} in the name; ${there}`)
  }
}

/** Part of a name is enough, in whatever case. */
function isNamed(name: string, part: string): boolean {
  return name.toLowerCase().includes(part.toLowerCase())
}

function orderOf(scenario: Scenario, round: number, { quick, only, contestants }: BenchOptions): Named[] {
  const isWanted = (name: string) =>
    contestants.length === 0 || contestants.some((part) => isNamed(name, part))
  // Whoever names scenarios or contestants wants to see just those.
  const isNeeded = (name: string) =>
    !quick || only.length + contestants.length > 0 || (scenario.quick?.includes(name) ?? true)
  const taking = scenario.contestants.filter(
    (contestant) =>
      contestant.isAvailable?.() !== false && isNeeded(contestant.name) && isWanted(contestant.name),
  )
  return round % 2 === 0 ? taking.reverse() : taking
}

function hasFailedTooOften(runs: readonly Run[], scenario: Scenario, contestant: Named): boolean {
  const failed = runs.filter(
    (run) => run.round > 0 && isRunOf(run, scenario, contestant) && run.failure !== undefined,
  )
  return failed.length >= mostFailures
}

function isRunOf(run: Run, scenario: Scenario, { name }: Named): boolean {
  return run.scenario === scenario.name && run.contestant === name
}
