import { type Spread, spreadOf } from './measure/statistics.ts'
import type { Run } from './run-scenario.ts'
import type { Goal, Scenario } from './scenario.ts'

/** What all counted runs of one contestant come to. */
export type Row = {
  readonly name: string
  /** By the key of the measure. */
  readonly values: Readonly<Record<string, Spread>>
  /** Of the first measure, with the floor's, round by round; undefined for the floor itself. */
  readonly ratio: Spread | undefined
  /** Why runs have no number; the same reason only once. */
  readonly failures: readonly string[]
  readonly failedRuns: number
}

/** Whether a goal is reached. */
export type Judgement = {
  readonly goal: Goal
  /** What is judged: a value, a ratio or a difference. */
  readonly reached: Spread
  /** Undefined when there was nothing to judge. */
  readonly isMet: boolean | undefined
}

/** All runs of a scenario and what they come to. */
export type ScenarioResult = {
  readonly scenario: Scenario
  readonly runs: readonly Run[]
  readonly rows: readonly Row[]
  readonly judgements: readonly Judgement[]
}

/** Summarises the runs of a scenario. Comparisons are made within each round, then summarised. */
export function summarise(scenario: Scenario, all: readonly Run[]): ScenarioResult {
  const runs = all.filter((run) => run.scenario === scenario.name)
  const counted = runs.filter((run) => run.round > 0)
  const names = scenario.contestants.map(({ name }) => name).filter((name) => runs.some(isOf(name)))
  const floor = scenario.floor ?? scenario.contestants[0]!.name
  const headline = scenario.measures[0]!.key
  const rows = names.map((name): Row => {
    const own = counted.filter(isOf(name))
    const failures = own.flatMap(({ failure }) => (failure === undefined ? [] : [failure]))
    return {
      name,
      values: Object.fromEntries(
        scenario.measures.map(({ key }) => [
          key,
          spreadOf(own.map(({ values }) => values?.[key] ?? Number.NaN)),
        ]),
      ),
      ratio:
        name === floor || !names.includes(floor)
          ? undefined
          : spreadOf(compare(counted, { measure: headline, of: name, against: [floor] })),
      failures: [...new Set(failures)],
      failedRuns: failures.length,
    }
  })
  return { scenario, runs, rows, judgements: (scenario.goals ?? []).map((goal) => judge(goal, counted)) }
}

function judge(goal: Goal, runs: readonly Run[]): Judgement {
  const reached = spreadOf(compare(runs, goal))
  const { median } = reached
  const isMet =
    median >= (goal.atLeast ?? Number.NEGATIVE_INFINITY) &&
    median <= (goal.atMost ?? Number.POSITIVE_INFINITY)
  return { goal, reached, isMet: Number.isNaN(median) ? undefined : isMet }
}

/** One number for each round; NaN where a number is missing. */
function compare(runs: readonly Run[], { measure, of, against, as, atMost }: Goal): number[] {
  const rounds = [...new Set(runs.map((run) => run.round))]
  return rounds.map((round) => {
    const find = (name: string) =>
      runs.find((run) => run.round === round && run.contestant === name)?.values?.[measure] ?? Number.NaN
    const own = find(of)
    if (against === undefined) return own
    const others = against.map(find).filter((value) => !Number.isNaN(value))
    if (others.length === 0) return Number.NaN
    // The best of them: what has to be at most something is better when it is less.
    const best = atMost === undefined ? Math.max(...others) : Math.min(...others)
    return as === 'difference' ? own - best : own / best
  })
}

function isOf(name: string): (run: Run) => boolean {
  return (run) => run.contestant === name
}
