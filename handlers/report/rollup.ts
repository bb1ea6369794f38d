/**
 * `report.rollup` groups the rows of a CSV file by one column, and counts and sums the others.
 *
 *     nats pub jobs.report.rollup \
 *       '{"source":"/data/orders.csv","output":"/data/reports/by-country.json","groupBy":"country","columns":["amount"]}'
 *
 * A small CSV can travel in the job instead, as its body, with the rest in headers:
 *
 *     nats pub jobs.report.rollup --force-stdin -H 'content-type:text/csv' \
 *       -H 'Rollup-Output:/data/reports/by-country.json' -H 'Rollup-Group-By:country' \
 *       -H 'Rollup-Columns:amount,tax' < orders.csv
 *
 * The first row names the columns. The report is JSON, groups sorted by key; each column has the
 * `count` of its numbers, their `sum`, `min` and `max` (null without numbers), and how many cells were
 * `notNumbers`; empty cells count as neither. The file is streamed: memory grows with the number of
 * groups, not of rows. `output` is replaced in one step. A column that does not exist, broken CSV and
 * too many groups are permanent; a missing file is tried again.
 *
 * When you copy it: change what is kept for a group, and the separator in `parse` (`delimiter: '\t'`).
 */
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { CsvError, parse } from 'csv-parse'
import { defineHandler, type Job, PermanentFailure } from 'millrace'
import * as v from 'valibot'
import { openRegularFile } from '../_regular-file.ts'
import { replaceFile } from '../_replace-file.ts'

/** One group takes a few hundred bytes; a column with more values than this is an id, not a group. */
const groupLimit = 100_000
/** A quote that is never closed would otherwise read the rest of the file into memory. */
const rowLimitBytes = 1024 * 1024

const name = v.pipe(v.string(), v.minLength(1))
const request = v.object({ output: name, groupBy: name, columns: v.array(name) })
const schema = v.union([v.instance(Uint8Array), v.object({ source: name, ...request.entries })])

export default defineHandler({
  schema,
  pool: 'cpu',
  deadlineMs: 300_000,
  retry: { maxAttempts: 3, backoff: { baseMs: 5_000 } },
  async run(payload, ctx) {
    const { groupBy, columns, output } = payload instanceof Uint8Array ? readHeaders(ctx.job) : payload
    const rollup = new Rollup(groupBy, columns)
    const file = payload instanceof Uint8Array ? undefined : await openRegularFile(payload.source)
    const source = file?.createReadStream() ?? Readable.from([payload])
    // Chunks of the file arrive through the event loop, so an abort gets its turn between two of them.
    const rows = parse({ bom: true, skip_empty_lines: true, max_record_size: rowLimitBytes })
    try {
      await pipeline(source, rows, rollup.sink(), { signal: ctx.signal })
    } catch (error) {
      ctx.signal.throwIfAborted()
      if (!(error instanceof CsvError)) throw error
      // The parser's message may quote a cell; its code and line say enough.
      throw new PermanentFailure(`broken CSV in line ${error['lines']}: ${error.code}`)
    }
    const report = rollup.report()
    await replaceFile(output, `${JSON.stringify(report, null, 2)}\n`, ctx.signal)
    ctx.logger.info({ output, rows: report.rows, groups: report.groups.length }, 'report written')
  },
})

function readHeaders(job: Job): v.InferOutput<typeof request> {
  const columns = job.headers['rollup-columns']?.split(',').map((column) => column.trim())
  const found = v.safeParse(request, {
    output: job.headers['rollup-output'],
    groupBy: job.headers['rollup-group-by'],
    columns: columns?.filter((column) => column !== '') ?? [],
  })
  if (!found.success) {
    throw new PermanentFailure('a CSV body needs the headers Rollup-Output and Rollup-Group-By')
  }
  return found.output
}

interface Total {
  count: number
  sum: number
  min: number | null
  max: number | null
  notNumbers: number
}

/** The groups so far. Fed one row at a time, the row of column names first. */
class Rollup {
  readonly #groupBy: string
  readonly #columns: readonly string[]
  #places: { group: number; columns: number[] } | undefined
  #rows = 0
  readonly #groups = new Map<string, { count: number; totals: Total[] }>()

  constructor(groupBy: string, columns: readonly string[]) {
    this.#groupBy = groupBy
    this.#columns = columns
  }

  sink(): Writable {
    return new Writable({
      objectMode: true,
      highWaterMark: 1_000,
      write: (row: string[], _encoding, done) => {
        try {
          if (this.#places === undefined) this.#places = this.#locate(row)
          else this.#add(row, this.#places)
          done()
        } catch (error) {
          done(error as Error)
        }
      },
      final: (done) => {
        done(this.#places === undefined ? new PermanentFailure('the CSV has no row of column names') : null)
      },
    })
  }

  report() {
    const groups = [...this.#groups].sort(([a], [b]) => (a < b ? -1 : 1))
    return {
      groupBy: this.#groupBy,
      rows: this.#rows,
      groups: groups.map(([key, { count, totals }]) => ({
        key,
        count,
        columns: Object.fromEntries(totals.map((total, index) => [this.#columns[index]!, total])),
      })),
    }
  }

  #locate(names: string[]) {
    const missing = [this.#groupBy, ...this.#columns].filter((column) => !names.includes(column))
    if (missing.length > 0) {
      throw new PermanentFailure(`the CSV has no column ${missing.map((column) => `"${column}"`).join(', ')}`)
    }
    return {
      group: names.indexOf(this.#groupBy),
      columns: this.#columns.map((column) => names.indexOf(column)),
    }
  }

  #add(row: string[], places: { group: number; columns: number[] }): void {
    this.#rows += 1
    const group = this.#group(row[places.group]!)
    group.count += 1
    for (const [index, place] of places.columns.entries()) addCell(group.totals[index]!, row[place]!)
  }

  #group(key: string) {
    let group = this.#groups.get(key)
    if (group === undefined) {
      if (this.#groups.size >= groupLimit) {
        throw new PermanentFailure(`column "${this.#groupBy}" has more than ${groupLimit} values`)
      }
      const totals = this.#columns.map(() => ({ count: 0, sum: 0, min: null, max: null, notNumbers: 0 }))
      group = { count: 0, totals }
      this.#groups.set(key, group)
    }
    return group
  }
}

function addCell(total: Total, cell: string): void {
  const text = cell.trim()
  if (text === '') return
  const value = Number(text)
  if (!Number.isFinite(value)) {
    total.notNumbers += 1
    return
  }
  total.count += 1
  total.sum += value
  total.min = total.min === null ? value : Math.min(total.min, value)
  total.max = total.max === null ? value : Math.max(total.max, value)
}
