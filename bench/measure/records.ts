import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { threadId } from 'node:worker_threads'
import { monotonicMs } from './monotonic.ts'

/** Names the folder that the processes under test leave their records in. */
export const recordsVariable = 'BENCH_RECORDS'

const quietMs = 250

/**
 * What one thread notes about the jobs of one handler: how often each ran, and how late. Noting costs
 * some nanoseconds; it is written to a file of the thread's own when nothing was noted for a moment,
 * never during a load.
 */
export class JobRecord {
  /** Two numbers for each job: its runs, and the sum of what was noted. */
  #values = new Float64Array(1 << 17)
  #notes = 0
  #seen = 0
  #timer: NodeJS.Timeout | undefined
  readonly #handler: string

  /** @param handler - whose jobs these are; each has records of its own. */
  constructor(handler: string) {
    this.#handler = handler
  }

  /** Counts a run of job `n`. */
  ran(n: number): void {
    this.#add(n, 0)
  }

  /** Counts a run, and notes how much later it is than `at`, such as when the job should have been sent. */
  late(n: number, at: number): void {
    this.#add(n, monotonicMs() - at)
  }

  #add(n: number, value: number): void {
    const at = 2 * n
    if (at >= this.#values.length) this.#grow(at)
    this.#values[at]! += 1
    this.#values[at + 1]! += value
    this.#notes += 1
    // A process that is idle has nothing of ours to wake up for.
    this.#timer ??= setInterval(() => this.#look(), quietMs).unref()
  }

  #look(): void {
    if (this.#notes === this.#seen) {
      this.#write()
      clearInterval(this.#timer)
      this.#timer = undefined
    }
    this.#seen = this.#notes
  }

  #grow(index: number): void {
    const larger = new Float64Array(Math.max(index + 2, this.#values.length * 2))
    larger.set(this.#values)
    this.#values = larger
  }

  #write(): void {
    const file = path.join(
      process.env[recordsVariable]!,
      `record-${this.#handler}-${process.pid}-${threadId}`,
    )
    // Whoever reads meanwhile sees the old file or the new one, never half of it.
    writeFileSync(`${file}.new`, this.#values)
    renameSync(`${file}.new`, file)
  }
}

/** What all threads of all processes noted about the jobs of a handler, added up job by job. */
export type Records = { readonly runs: Float64Array; readonly values: Float64Array }

/** Adds up what is known about jobs 0 to `jobs` - 1. */
export function readRecords(dir: string, handler: string, jobs: number): Records {
  const runs = new Float64Array(jobs)
  const values = new Float64Array(jobs)
  const pattern = new RegExp(`^record-${handler}-\\d+-\\d+$`)
  for (const file of readdirSync(dir).filter((name) => pattern.test(name))) {
    const bytes = readFileSync(path.join(dir, file))
    const own = new Float64Array(bytes.buffer, bytes.byteOffset, bytes.length / 8)
    for (let n = 0; n < jobs; n += 1) {
      runs[n]! += own[2 * n] ?? 0
      values[n]! += own[2 * n + 1] ?? 0
    }
  }
  return { runs, values }
}
