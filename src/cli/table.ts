import { terminalText } from './terminal-text.ts'

/** Rows as columns of text, titled by their fields. */
export function tableOf(rows: readonly Readonly<Record<string, unknown>>[]): string {
  const titles = Object.keys(rows[0] ?? {})
  const cells = [titles, ...rows.map((row) => titles.map((title) => terminalText(String(row[title] ?? '-'))))]
  const widths = titles.map((_, column) => Math.max(...cells.map((line) => line[column]!.length)))
  return cells
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
