import { type Spread, spreadOf } from './measure/statistics.ts'
import type { BenchOptions, Measure, Scenario, Values } from './scenario.ts'

/** One run of one contestant; round 0 is the one that does not count. */
export type Run = { readonly round: number; readonly contestant: string; readonly values: Values }

/** A row of the table: each contestant's spread, and that of the last one's comparisons with the first, round by round. */
export type Row = {
  readonly measure: Measure
  readonly values: Readonly<Record<string, Spread>>
  /** Undefined when there is no floor. */
  readonly comparison: Spread | undefined
  /** Undefined when there is no goal. */
  readonly isMet: boolean | undefined
}

/** All runs of a scenario and what they come to. */
export type ScenarioResult = {
  readonly scenario: Scenario
  readonly runs: readonly Run[]
  readonly rows: readonly Row[]
}

/**
 * Runs all contestants in every round, so that whatever else the machine does meets all of them, and
 * turns the order round each time, so that none always follows the same one.
 */
export async function runScenario(scenario: Scenario, options: BenchOptions): Promise<ScenarioResult> {
  const runs: Run[] = []
  for (let round = options.warmUp ? 0 : 1; round <= options.rounds; round += 1) {
    const order = round % 2 === 0 ? [...scenario.contestants].reverse() : scenario.contestants
    for (const contestant of order) {
      const values = await scenario.run(contestant, options)
      runs.push({ round, contestant: contestant.name, values })
      options.narrate(
        `  ${scenario.name} ${round === 0 ? 'warm-up' : `round ${round}`} ${describe(contestant.name, values, scenario)}`,
      )
    }
  }
  return { scenario, runs, rows: tabulate(scenario, runs) }
}

function tabulate(scenario: Scenario, runs: readonly Run[]): Row[] {
  const counted = runs.filter((run) => run.round > 0)
  const names = scenario.contestants.map((contestant) => contestant.name)
  return scenario.measures.map((measure) => {
    const valuesOf = (name: string) =>
      counted.filter((run) => run.contestant === name).map((run) => run.values[measure.key] ?? Number.NaN)
    const values = Object.fromEntries(names.map((name) => [name, spreadOf(valuesOf(name))]))
    const comparison =
      names.length > 1 ? spreadOf(compare(counted, measure, names[0]!, names.at(-1)!)) : undefined
    return { measure, values, comparison, isMet: isMet(measure, values[names.at(-1)!]!, comparison) }
  })
}

function compare(runs: readonly Run[], measure: Measure, floor: string, own: string): number[] {
  const find = (round: number, name: string) =>
    runs.find((run) => run.round === round && run.contestant === name)?.values[measure.key] ?? Number.NaN
  return [...new Set(runs.map((run) => run.round))].map((round) => {
    const [mine, least] = [find(round, own), find(round, floor)]
    return measure.against === 'difference' ? mine - least : mine / least
  })
}

function isMet({ goal }: Measure, value: Spread, comparison: Spread | undefined): boolean | undefined {
  if (!goal) return undefined
  const { median } = goal.of === 'floor' ? comparison! : value
  return (
    median >= (goal.atLeast ?? Number.NEGATIVE_INFINITY) &&
    median <= (goal.atMost ?? Number.POSITIVE_INFINITY)
  )
}

function describe(name: string, values: Values, scenario: Scenario): string {
  const shown = scenario.measures
    .filter((measure) => values[measure.key] !== undefined)
    .map((measure) => `${values[measure.key]!.toFixed(measure.digits)} ${measure.label}`)
  return `${name}: ${shown.join('; ')}`
}
