import { terminalText } from './terminal-text.ts'

type Row = Readonly<Record<string, unknown>>

/** Rows as columns of text, titled by their fields. */
export function tableOf(rows: readonly Row[]): string {
  return new Table().add(rows)
}

/**
 * A table that is printed piece by piece: the first piece has the titles, and a later one is as wide as all before
 * it. Lines end at `width`, and control characters, which could write anywhere on a terminal, are spaces.
 */
export class Table {
  readonly #width: number | undefined
  #titles: readonly string[] | undefined
  #widths: number[] = []

  constructor(width?: number) {
    this.#width = width
  }

  add(rows: readonly Row[]): string {
    const lines: string[][] = []
    if (!this.#titles) {
      this.#titles = Object.keys(rows[0] ?? {})
      lines.push([...this.#titles])
    }
    for (const row of rows) lines.push(this.#titles.map((title) => terminalText(String(row[title] ?? '-'))))
    this.#widths = this.#titles.map((_, column) =>
      Math.max(this.#widths[column] ?? 0, ...lines.map((line) => line[column]!.length)),
    )
    return lines.map((line) => this.#fit(line)).join('\n')
  }

  #fit(cells: readonly string[]): string {
    const line = cells
      .map((cell, column) => cell.padEnd(this.#widths[column]!))
      .join('  ')
      .trimEnd()
    return this.#width === undefined || line.length <= this.#width
      ? line
      : `${line.slice(0, this.#width - 1)}…`
  }
}
