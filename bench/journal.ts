import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { BenchError } from './bench-error.ts'
import type { Run } from './run-scenario.ts'

/**
 * Keeps each run as it ends, a line of JSON each, so that a run of the benchmarks that was cut short can
 * go on where it was. Its first line says under which conditions they were made.
 */
export class Journal {
  readonly #file: string
  /** Those that were there before. */
  readonly runs: readonly Run[]

  private constructor(file: string, runs: readonly Run[]) {
    this.#file = file
    this.runs = runs
  }

  /** Begins anew, whatever was there. */
  static begin(file: string, conditions: string): Journal {
    mkdirSync(path.dirname(file), { recursive: true })
    writeFileSync(file, `${JSON.stringify({ conditions })}\n`)
    return new Journal(file, [])
  }

  /**
   * Goes on with what is there.
   *
   * @throws {BenchError} when there is nothing, or it was made under other conditions: numbers of two
   *   versions, or of two machines, must not end up in one table.
   */
  static resume(file: string, conditions: string): Journal {
    if (!existsSync(file)) throw new BenchError('there is no run to go on with')
    // A process that was killed while it wrote leaves half a line at the end, whose run is done again.
    const [first, ...lines] = readFileSync(file, 'utf8').split('\n').slice(0, -1)
    const found = (JSON.parse(first ?? '{}') as { conditions?: string }).conditions
    if (found !== conditions)
      throw new BenchError(`the run to go on with was another one:\n  ${found}\nand this is\n  ${conditions}`)
    writeFileSync(file, `${[first, ...lines].join('\n')}\n`)
    return new Journal(
      file,
      lines.map((line) => JSON.parse(line) as Run),
    )
  }

  add(run: Run): void {
    appendFileSync(this.#file, `${JSON.stringify(run)}\n`)
  }
}
