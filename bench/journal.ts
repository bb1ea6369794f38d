import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Run } from './run-scenario.ts'

/**
 * Keeps each run as it ends, a line of JSON each, so that a run of the benchmarks that was cut short can
 * go on where it was. Without a file it keeps nothing.
 */
export class Journal {
  readonly #file: string | undefined
  /** Those that were there before. */
  readonly runs: readonly Run[]

  constructor(file: string | undefined) {
    this.#file = file
    this.runs = file !== undefined && existsSync(file) ? readRuns(file) : []
  }

  add(run: Run): void {
    if (this.#file !== undefined) appendFileSync(this.#file, `${JSON.stringify(run)}\n`)
  }

  /** Makes the file and its folder, empty. */
  static begin(file: string): void {
    mkdirSync(path.dirname(file), { recursive: true })
    writeFileSync(file, '')
  }
}

/** A process that was killed while it wrote leaves half a line at the end, whose run is done again. */
function readRuns(file: string): Run[] {
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1)
  return lines.map((line) => JSON.parse(line) as Run)
}
