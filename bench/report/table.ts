import type { Spread } from '../measure/statistics.ts'
import type { Goal } from '../scenario.ts'
import type { Judgement, Row, ScenarioResult } from '../summary.ts'

/** The head and the rows of a table, as text. */
export type Table = { readonly head: readonly string[]; readonly body: readonly (readonly string[])[] }

/** A scenario's table: a row for each contestant, and how its first measure compares with the floor's. */
export function tableOf({ scenario, rows }: ScenarioResult): Table {
  const isCompared = rows.some(({ ratio }) => ratio !== undefined)
  return {
    head: ['', ...scenario.measures.map(({ label }) => label), ...(isCompared ? ['compared'] : [])],
    body: rows.map((row) => [
      row.name,
      ...scenario.measures.map(({ key, digits }) => formatSpread(row.values[key]!, digits)),
      ...(isCompared ? [formatRatio(row)] : []),
    ]),
  }
}

function formatRatio({ ratio }: Row): string {
  if (ratio === undefined) return '1'
  return Number.isNaN(ratio.median) ? '–' : `× ${formatSpread(ratio, 2)}`
}

/** Why some runs have no number: a line for each reason. */
export function failureLines({ rows }: ScenarioResult): string[] {
  return rows.flatMap((row) => row.failures.map((failure) => `${describeFailures(row)}: ${failure}`))
}

function describeFailures({ name, failedRuns }: Row): string {
  return `${name}: ${failedRuns} ${failedRuns === 1 ? 'run has' : 'runs have'} no number`
}

/** A line for each goal, and whether it is met. */
export function goalLines({ scenario, judgements }: ScenarioResult): string[] {
  return judgements.map((judgement) => {
    const { label, digits } = scenario.measures.find(({ key }) => key === judgement.goal.measure)!
    return `${label}: ${describeGoal(judgement.goal, digits)}: ${describeVerdict(judgement, digits)}`
  })
}

function describeGoal({ of, against, againstLabel, as, atLeast, atMost }: Goal, digits: number): string {
  const bound = atLeast !== undefined ? ['at least', atLeast] : ['at most', atMost]
  const number = (bound[1] as number).toLocaleString('en-US', { maximumFractionDigits: Math.max(2, digits) })
  if (against === undefined) return `${of} ${bound[0]} ${number}`
  const others = againstLabel ?? against.join(' or ')
  return as === 'difference'
    ? `${of} ${bound[0]} ${number} more than ${others}`
    : `${of} ${bound[0]} ${number} × ${others}`
}

function describeVerdict({ goal, reached, isMet }: Judgement, digits: number): string {
  if (isMet === undefined) return 'not judged, a number is missing'
  const isRatio = goal.against !== undefined && goal.as !== 'difference'
  return `${formatSpread(reached, isRatio ? 2 : digits)}, ${isMet ? 'met' : 'MISSED'}`
}

/** Lays a table out for a terminal. */
export function layOut({ head, body }: Table): string {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...body.map((row) => row[column]!.length)),
  )
  const format = (row: readonly string[]) =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column]!)).join('  ')}`.trimEnd()
  return [format(head), `  ${widths.map((width) => '─'.repeat(width)).join('  ')}`, ...body.map(format)].join(
    '\n',
  )
}

/** Everything about a scenario, for a terminal. */
export function describeResult(result: ScenarioResult): string {
  const notes = [...goalLines(result), ...failureLines(result)].map((line) => `  ${line}`)
  return [
    result.scenario.title,
    '',
    layOut(tableOf(result)),
    ...(notes.length > 0 ? ['', ...notes] : []),
  ].join('\n')
}

/** The median and, when they differ, the least and the greatest. */
export function formatSpread({ median, min, max }: Spread, digits: number): string {
  if (Number.isNaN(median)) return '–'
  const format = (value: number) =>
    value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })
  return min === max ? format(median) : `${format(median)} (${format(min)}–${format(max)})`
}
