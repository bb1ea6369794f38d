import type { Painter, PaintName } from './paint.ts'
import { terminalText } from './terminal-text.ts'
import { cutToWidth, textWidth } from './text-width.ts'

type Row = Readonly<Record<string, unknown>>

/** In which paint a cell is shown, by its title and its row. */
export type CellPaint = (title: string, row: Row) => PaintName | undefined

/** How a table is painted; titles are bold. */
export interface TableStyle {
  readonly painter: Painter
  readonly paintOf: CellPaint
}

/** Long texts give way down to this; then titles, down to `shortTitle`; then everything, down to `narrowest`. */
const longText = 24
const shortTitle = 5
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
  readonly #style: TableStyle | undefined
  #titles: readonly string[] | undefined
  #widths: number[] = []
  /** The same without the titles. */
  #contents: number[] = []

  constructor(width?: number, style?: TableStyle) {
    this.#width = width
    this.#style = style
  }

  add(rows: readonly Row[]): string {
    const lines: string[][] = []
    const isFirst = this.#titles === undefined
    this.#titles ??= Object.keys(rows[0] ?? {})
    for (const row of rows) lines.push(this.#titles.map((title) => terminalText(String(row[title] ?? '-'))))
    this.#contents = this.#titles.map((_, column) =>
      Math.max(this.#contents[column] ?? 0, ...lines.map((line) => textWidth(line[column]!))),
    )
    if (isFirst) lines.unshift([...this.#titles])
    this.#widths = this.#titles.map((title, column) => Math.max(this.#contents[column]!, textWidth(title)))
    const widths =
      this.#width === undefined ? this.#widths : fitted(this.#widths, this.#contents, this.#width)
    const shown = isFirst ? [undefined, ...rows] : rows
    return lines.map((line, at) => this.#line(line, widths, shown[at])).join('\n')
  }

  /** A line without a row is that of the titles. */
  #line(cells: readonly string[], widths: readonly number[], row: Row | undefined): string {
    const cuts = cells.map((cell, column) => cutToWidth(cell, widths[column]!))
    const joined = (texts: readonly string[]): string =>
      texts
        .map((text, column) => text + ' '.repeat(widths[column]! - textWidth(cuts[column]!)))
        .join(gap)
        .trimEnd()
    const line = joined(cuts)
    // There may be more columns than a terminal has room for.
    if (this.#width !== undefined && textWidth(line) > this.#width) return cutToWidth(line, this.#width)
    return this.#style ? joined(cuts.map((text, column) => this.#painted(text, column, row))) : line
  }

  #painted(text: string, column: number, row: Row | undefined): string {
    const { painter, paintOf } = this.#style!
    const paint = row ? paintOf(this.#titles![column]!, row) : 'bold'
    return paint ? painter(text, paint) : text
  }
}

/** The same widths, made smaller until all fit, as far as that goes. */
function fitted(widths: readonly number[], contents: readonly number[], room: number): readonly number[] {
  const texts = lowered(widths, longText, room)
  if (total(texts) <= room) return widened(texts, widths, room)
  const titles = texts.map((width, column) => Math.min(width, Math.max(contents[column]!, shortTitle)))
  const all = lowered(titles, narrowest, room)
  return widened(all, texts, room)
}

/** The widest lowered to one limit, which is the highest that fits, or `least`. */
function lowered(widths: readonly number[], least: number, room: number): readonly number[] {
  const at = (limit: number): readonly number[] => widths.map((width) => Math.min(width, limit))
  let limit = Math.max(least, ...widths)
  while (limit > least && total(at(limit)) > room) limit -= 1
  return at(limit)
}

/** What is left of the room is given to the first columns that can use it. */
function widened(widths: readonly number[], most: readonly number[], room: number): readonly number[] {
  let left = Math.max(0, room - total(widths))
  return widths.map((width, column) => {
    const more = Math.min(left, most[column]! - width)
    left -= more
    return width + more
  })
}

function total(widths: readonly number[]): number {
  return widths.reduce((sum, width) => sum + width, gap.length * (widths.length - 1))
}
