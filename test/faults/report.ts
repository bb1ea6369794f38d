import type { Row } from './bounds/bound.ts'
import type { FuzzReport } from './fuzz/run-fuzz.ts'
import type { MixedReport } from './mixed.ts'

/** Everything that a long run measured; a part that was not asked for is undefined. */
export interface LongReport {
  /** Fifty supervisors that lose their broker at once. */
  readonly storm: MixedReport | undefined
  readonly mixed: MixedReport | undefined
  readonly bounds: readonly Row[] | undefined
  readonly fuzz: FuzzReport | undefined
}

/** How the table tells whether something is as it has to be. */
const yes = 'yes'
const no = '**no**'

/** Everything that is not as it should be, a sentence each. */
export function findingsOf({ storm, mixed, bounds, fuzz }: LongReport): string[] {
  return [
    ...(storm?.findings ?? []),
    ...(mixed?.findings ?? []),
    ...(bounds ?? [])
      .filter((row) => !row.holds)
      .map((row) => `${row.bound}: ${row.measured}, limit ${row.limit}`),
    ...(fuzz?.findings ?? []),
  ]
}

/** The rows of the report: what, its limit, what was measured, whether it holds. */
export function rowsOf({ storm, mixed, bounds, fuzz }: LongReport): string[][] {
  return [
    ...(storm ? [stormRow(storm)] : []),
    ...(mixed ? mixedRows(mixed) : []),
    ...(fuzz ? fuzzRows(fuzz) : []),
    ...(bounds ?? []).map(({ bound, limit, measured, holds, detail }) => [
      detail === undefined ? bound : `${bound} (${detail})`,
      limit,
      measured,
      holds ? yes : no,
    ]),
  ]
}

/** The generated sections of `docs/reliability.md`, by the part that each is about; only of parts that ran. */
export function toMarkdown(
  report: LongReport,
  environment: readonly (readonly [string, string])[],
): Record<string, string> {
  const sections: Record<string, string> = {}
  for (const [part, measured] of Object.entries(report)) {
    if (measured === undefined) continue
    const only: LongReport = { ...nothing, [part]: measured }
    const tables = [
      table(['Run', ''], environment),
      table(['What', 'Limit', 'Measured', 'Holds'], rowsOf(only)),
    ]
    sections[part] = [...tables, ...(only.mixed ? explained(only.mixed) : [])].join('\n\n')
  }
  return sections
}

const nothing: LongReport = { storm: undefined, mixed: undefined, bounds: undefined, fuzz: undefined }

/** Which faults had jobs run again, if any did. */
function explained({ duplicates }: MixedReport): string[] {
  const counts = Object.entries(duplicates).sort(([, one], [, other]) => other - one)
  if (counts.length === 0) return []
  return [
    'Runs of a job that had completed before, by the fault that explains each:',
    table(
      ['Fault', 'Second runs'],
      counts.map(([fault, count]) => [fault, String(count)]),
    ),
  ]
}

function table(head: readonly string[], body: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...body.map(line)].join('\n')
}

function stormRow({ accepted, findings }: MixedReport): string[] {
  const found = findings.length
  return [
    'fifty supervisors lose their broker at once: jobs lost, repeated without a cause or unaccounted for',
    '0',
    `${found} of ${accepted}`,
    found === 0 ? yes : no,
  ]
}

function mixedRows(mixed: MixedReport): string[][] {
  const { accepted, completed, dead, lostByBroker, stranded, faults, unmeant } = mixed
  const { rounds, runs, duplicates, findings, seconds } = mixed
  const sum = Object.values(duplicates).reduce((total, each) => total + each, 0)
  const zero = (what: string, kind: keyof typeof kinds): string[] => {
    const found = findings.filter((finding) => kinds[kind].test(finding)).length
    return [what, '0', String(found), found === 0 ? yes : no]
  }
  return [
    [
      `jobs under mixed faults (${rounds} rounds, ${Math.round(seconds / 60)} minutes)`,
      '',
      `${accepted} accepted, ${completed} completed, ${dead} dead letters, ${lostByBroker} deleted with their stream`,
      '',
    ],
    ['faults', '', String(faults), ''],
    [
      'besides: a supervisor, the network between or a reader got no processor for a while',
      '',
      String(unmeant),
      '',
    ],
    zero('lost', 'lost'),
    zero('unaccounted', 'unaccounted'),
    zero('settled twice, or two dead letters', 'twice'),
    zero('second runs without a fault that explains them', 'duplicate'),
    ['messages of ended jobs that killed brokers show again', '', String(stranded), ''],
    [`second runs of completed jobs, each explained (of ${runs} runs)`, '', String(sum), ''],
    [
      'everything else that the judge looks at',
      '0',
      String(others(findings)),
      others(findings) === 0 ? yes : no,
    ],
  ]
}

/** Findings that have a row of their own. */
const kinds = {
  lost: /: lost/,
  unaccounted: /: unaccounted/,
  twice: /: settled twice|: \d+ dead letters:/,
  duplicate: /: duplicate without/,
}

function others(findings: readonly string[]): number {
  const named = Object.values(kinds)
  return findings.filter((finding) => !named.some((kind) => kind.test(finding))).length
}

function fuzzRows({ messages, messagesPerSecond, memoryMb, findings }: FuzzReport): string[][] {
  return [
    [
      `malformed messages, not accounted for or with a wrong end (${Math.round(messagesPerSecond)} a second, ${Math.round(memoryMb.peak)} MB at most)`,
      '0',
      `${findings.length} of ${messages}`,
      findings.length === 0 ? yes : no,
    ],
  ]
}
