import { terminalText } from './terminal-text.ts'
import { cutToWidth, textWidth } from './text-width.ts'

type Row = Readonly<Record<string, unknown>>

/** A column is not made narrower than this for the sake of the others. */
const narrowest = 8
const gap = '  '

/** Rows as columns of text, titled by their fields; within `width`, when that is known. */
export function tableOf(rows: readonly Row[], width?: number): string {
  return new Table(width).add(rows)
}

/**
 * A table that is printed piece by piece: the first piece has the titles, and a later one is as wide as all before
 * it. What does not fit into `width` is taken from the widest columns. Control characters, which could write
 * anywhere on a terminal, are escapes.
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
      Math.max(this.#widths[column] ?? 0, ...lines.map((line) => textWidth(line[column]!))),
    )
    const widths = this.#width === undefined ? this.#widths : fitted(this.#widths, this.#width)
    return lines.map((line) => this.#line(line, widths)).join('\n')
  }

  #line(cells: readonly string[], widths: readonly number[]): string {
    const line = cells
      .map((cell, column) => {
        const cut = cutToWidth(cell, widths[column]!)
        return cut + ' '.repeat(widths[column]! - textWidth(cut))
      })
      .join(gap)
      .trimEnd()
    // There may be more columns than a terminal has room for.
    return this.#width === undefined ? line : cutToWidth(line, this.#width)
  }
}

/** The same widths, the widest of them lowered to one limit, so that all fit. */
function fitted(widths: readonly number[], room: number): readonly number[] {
  const total = (limit: number): number =>
    widths.reduce((sum, width) => sum + Math.min(width, limit), gap.length * (widths.length - 1))
  let limit = Math.max(narrowest, ...widths)
  while (limit > narrowest && total(limit) > room) limit -= 1
  const left = Math.max(0, room - total(limit))
  // One column more or less is given to the first that was cut.
  const first = widths.findIndex((width) => width > limit)
  return widths.map((width, column) => Math.min(width, column === first ? limit + left : limit))
}
