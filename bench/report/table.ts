import type { Spread } from '../measure/statistics.ts'
import type { Row, ScenarioResult } from '../run-scenario.ts'
import type { Measure } from '../scenario.ts'

/** The head and the rows of a scenario's table, as text. */
export function tableOf({ scenario, rows }: ScenarioResult): { head: string[]; body: string[][] } {
  const names = scenario.contestants.map((contestant) => contestant.name)
  const hasRatio = names.length > 1
  return {
    head: ['', ...names, ...(hasRatio ? ['ratio per round'] : []), 'goal'],
    body: rows.map((row) => [
      row.measure.label,
      ...names.map((name) => formatSpread(row.values[name]!, row.measure.digits)),
      ...(hasRatio ? [formatSpread(row.ratio!, 2)] : []),
      formatGoal(row),
    ]),
  }
}

/** Lays a table out for a terminal. */
export function layOut({ head, body }: { head: string[]; body: string[][] }): string {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...body.map((row) => row[column]!.length)),
  )
  const format = (row: string[]) =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column]!)).join('  ')}`.trimEnd()
  return [format(head), `  ${widths.map((width) => '─'.repeat(width)).join('  ')}`, ...body.map(format)].join(
    '\n',
  )
}

function formatSpread({ median, min, max }: Spread, digits: number): string {
  if (Number.isNaN(median)) return '–'
  const format = (value: number) =>
    value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })
  return min === max ? format(median) : `${format(median)} (${format(min)}–${format(max)})`
}

function formatGoal({ measure, isMet }: Row): string {
  if (isMet === undefined) return ''
  return `${describeGoal(measure.goal!)}: ${isMet ? 'met' : 'MISSED'}`
}

function describeGoal({ of, atLeast, atMost }: NonNullable<Measure['goal']>): string {
  const bound = atLeast !== undefined ? `≥ ${atLeast}` : `≤ ${atMost}`
  return of === 'ratio' ? `ratio ${bound}` : bound
}
