import type { ScenarioResult } from '../run-scenario.ts'
import type { Environment } from './environment.ts'
import { tableOf } from './table.ts'

/** The page about speed, all of it from one run. */
export function toMarkdown(environment: Environment, results: readonly ScenarioResult[]): string {
  const rounds = Math.max(...results.flatMap(({ runs }) => runs.map((run) => run.round)))
  return `# Benchmarks

<!-- Written by \`npm run bench -- --write-docs\`; do not edit. -->

Each scenario runs all its contestants in every round, one after the other, each on a fresh nats-server
on the same machine; a first round does not count. Cells show the median of ${rounds} rounds and, in brackets, the
least and the greatest. Comparisons are made within each round and then summarised in the same way, because
what else a machine does changes absolute numbers more than ratios. A run that loses or doubles a job has no number.

${listEnvironment(environment)}

${results.map(section).join('\n')}`
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
    ['Commit', environment.commit ?? 'unknown'],
    ['Load before the run', String(environment.loadBefore)],
  ]
  return toTable(['Machine', ''], rows)
}

function section(result: ScenarioResult): string {
  const { head, body } = tableOf(result)
  return `## ${result.scenario.title}\n\n${result.scenario.method}\n\n${toTable(head, body)}\n`
}

function toTable(head: readonly string[], body: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`.replace(/\| {2}(?=\|)/g, '| ')
  return [line(head), line(head.map(() => '---')), ...body.map(line)].join('\n')
}
