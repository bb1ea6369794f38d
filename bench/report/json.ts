import type { ScenarioResult } from '../summary.ts'
import type { Environment } from './environment.ts'

/** Everything that was measured, run by run, for a program. A value that could not be measured is null. */
export function toJson(environment: Environment, results: readonly ScenarioResult[]): string {
  const scenarios = results.map(({ scenario, runs, rows, judgements }) => ({
    name: scenario.name,
    title: scenario.title,
    measures: scenario.measures,
    summary: rows,
    goals: judgements,
    runs,
  }))
  return `${JSON.stringify({ environment, scenarios }, null, 2)}\n`
}
