import type { ScenarioResult } from '../summary.ts'
import type { Environment } from './environment.ts'
import { failureLines, goalLines, type Table, tableOf } from './table.ts'

/**
 * The page about speed, all of it from one run.
 *
 * @param chartOf - the picture of a scenario, as a path from the page; undefined when it has none.
 */
export function toMarkdown(
  environment: Environment,
  results: readonly ScenarioResult[],
  chartOf: (scenario: string) => string | undefined,
): string {
  const rounds = Math.max(...results.flatMap(({ runs }) => runs.map((run) => run.round)))
  return `# Benchmarks

<!-- Written by \`npm run bench -- --write-docs\`; do not edit. -->

In every round each contestant of each scenario runs once, one after the other, each on a fresh server on the same
machine; a first, short round does not count. Cells show the median of ${rounds} rounds and, in brackets, the least and the
greatest. Comparisons are made within each round and then summarised in the same way, because what else a machine does
changes absolute numbers more than ratios. A run that loses or doubles a job has no number.

${listEnvironment(environment)}
${listContestants(results)}
${results.map((result) => section(result, chartOf(result.scenario.name))).join('\n')}`
}

function listEnvironment(environment: Environment): string {
  const rows = [
    ['Command', `\`${environment.command}\``],
    ['Date', environment.date.slice(0, 10)],
    ['CPU', `${environment.cpu}, ${environment.cores} cores`],
    ['Memory', `${environment.memoryGb} GB`],
    ['System', environment.system],
    ['Node', environment.node],
    ['nats-server', environment.natsServer],
    ...Object.entries(environment.peers),
    ...environment.leftOut.map((line) => ['Left out', line]),
    ['Commit', environment.commit ?? 'unknown'],
    ['Load before the run', String(environment.loadBefore)],
  ]
  return toTable({ head: ['Machine', ''], body: rows })
}

/** Everybody whose name does not say it all, in the order in which they first appear. */
function listContestants(results: readonly ScenarioResult[]): string {
  const taking = results.flatMap(({ scenario, rows }) =>
    scenario.contestants.filter(({ name }) => rows.some((row) => row.name === name)),
  )
  const abouts = new Map(taking.flatMap(({ name, about }) => (about === undefined ? [] : [[name, about]])))
  if (abouts.size === 0) return ''
  const lines = [...abouts].map(([name, about]) => `- **${name}**: ${about}`)
  return `\n## Who takes part\n\n${lines.join('\n')}\n`
}

function section(result: ScenarioResult, chart: string | undefined): string {
  const { title, method } = result.scenario
  const picture = chart === undefined ? [] : [`![${title}](${chart})`]
  const lines = [...goalLines(result).map((line) => `Goal: ${line}`), ...failureLines(result)]
  const list = lines.length === 0 ? [] : [lines.map((line) => `- ${inOneLine(line)}`).join('\n')]
  return `${[`## ${title}`, method, ...picture, toTable(tableOf(result)), ...list].join('\n\n')}\n`
}

function toTable({ head, body }: Table): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map(inOneLine).join(' | ')} |`.replace(/\| {2}(?=\|)/g, '| ')
  return [line(head), line(head.map(() => '---')), ...body.map(line)].join('\n')
}

function inOneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, ' ').replaceAll('|', '\\|')
}
