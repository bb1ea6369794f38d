import type { Spread } from '../measure/statistics.ts'
import type { Row, ScenarioResult } from '../run-scenario.ts'
import type { Measure } from '../scenario.ts'

/** The head and the rows of a scenario's table, as text. */
export function tableOf({ scenario, rows }: ScenarioResult): { head: string[]; body: string[][] } {
  const names = scenario.contestants.map((contestant) => contestant.name)
  const hasFloor = names.length > 1
  return {
    head: ['', ...names, ...(hasFloor ? ['against the floor'] : []), 'goal'],
    body: rows.map((row) => [
      row.measure.label,
      ...names.map((name) => formatSpread(row.values[name]!, row.measure.digits)),
      ...(hasFloor ? [formatComparison(row)] : []),
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

function formatComparison({ measure, comparison }: Row): string {
  const text = formatSpread(comparison!, 2)
  if (text === '–') return text
  if (measure.against !== 'difference') return `× ${text}`
  return comparison!.median >= 0 ? `+${text}` : text
}

function formatGoal({ measure, isMet }: Row): string {
  if (isMet === undefined) return ''
  return `${describeGoal(measure)}: ${isMet ? 'met' : 'MISSED'}`
}

function describeGoal({ goal, against }: Measure): string {
  const { of, atLeast, atMost } = goal!
  const bound = atLeast !== undefined ? `≥ ${atLeast}` : `≤ ${atMost}`
  if (of === 'value') return bound
  return against === 'difference' ? `${bound} more` : `× ${bound}`
}
