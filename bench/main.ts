import { BenchError } from './bench-error.ts'
import { runScenario, type ScenarioResult } from './run-scenario.ts'
import type { BenchOptions, Scenario } from './scenario.ts'
import { deadline } from './scenarios/deadline.ts'
import { drain } from './scenarios/drain.ts'
import { idle } from './scenarios/idle.ts'
import { keys } from './scenarios/keys.ts'
import { latency } from './scenarios/latency.ts'

/** Every scenario, in the order of the report. */
export const scenarios: readonly Scenario[] = [drain, keys, latency, idle, deadline]

/**
 * Runs the scenarios one after the other, never two processes under test at once.
 *
 * @throws {BenchError} when a scenario's name is unknown, or a run has no number.
 */
export async function runBench(options: BenchOptions): Promise<ScenarioResult[]> {
  const unknown = options.only.find((name) => !scenarios.some((scenario) => scenario.name === name))
  if (unknown !== undefined) {
    const names = scenarios.map((scenario) => scenario.name).join(', ')
    throw new BenchError(`there is no scenario ${unknown}; there are ${names}`)
  }
  const results: ScenarioResult[] = []
  for (const scenario of scenarios) {
    if (options.only.length > 0 && !options.only.includes(scenario.name)) continue
    options.narrate(scenario.title)
    results.push(await runScenario(scenario, options))
  }
  return results
}
