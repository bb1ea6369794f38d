import { ageText } from './age-text.ts'
import type { Console } from './command.ts'
import { createPainter } from './paint.ts'
import { type CellPaint, Table } from './table.ts'

/** Prints rows as a table on stdout, piece by piece: as wide as the terminal there, and in its colours if it has any. */
export class PrintedTable {
  readonly #console: Console
  readonly #table: Table

  constructor(console: Console, paintOf?: CellPaint) {
    this.#console = console
    const style = { painter: createPainter(true), paintOf: paintOf ?? (() => undefined) }
    this.#table = new Table(console.columns, console.colours ? style : undefined)
  }

  add(rows: readonly Readonly<Record<string, unknown>>[]): void {
    const text = this.#table.add(rows)
    // Its cells are escaped, and would lose their colours if it were once more.
    if (this.#console.colours) this.#console.paint(`${text}\n`)
    else this.#console.print(text)
  }
}

/** How long ago that was on a terminal, which has little room; elsewhere the instant. */
export function instantText(at: Date | string | null | undefined, console: Console): string | undefined {
  if (at === undefined || at === null) return undefined
  const date = new Date(at)
  if (console.columns === undefined) return date.toISOString()
  const seconds = Math.max(0, Math.round((Date.now() - date.getTime()) / 1_000))
  return seconds === 0 ? 'now' : `${ageText(seconds)} ago`
}
