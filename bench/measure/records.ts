import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { threadId } from 'node:worker_threads'
import { monotonicMs } from './monotonic.ts'

/** Names the folder that the processes under test leave their records in. */
export const recordsVariable = 'BENCH_RECORDS'

const quietMs = 250

/**
 * Numbers that one thread notes about its jobs, by job. Noting costs some nanoseconds; they are
 * written to a file of the thread's own when nothing was noted for a moment, never during a load.
 */
export class JobRecord {
  #values = new Float64Array(1 << 17)
  #notes = 0
  #seen = 0
  #written = 0

  constructor() {
    setInterval(() => {
      if (this.#notes === this.#seen && this.#notes !== this.#written) this.#write()
      this.#seen = this.#notes
    }, quietMs).unref()
  }

  /** Counts a run of job `n`. */
  ran(n: number): void {
    this.#add(n, 1)
  }

  /** Notes how long job `n` was on its way, from the instant at which it should have been sent. */
  started(n: number, sentAt: number): void {
    this.#add(n, monotonicMs() - sentAt)
  }

  #add(n: number, value: number): void {
    if (n >= this.#values.length) this.#grow(n)
    this.#values[n]! += value
    this.#notes += 1
  }

  #grow(n: number): void {
    const larger = new Float64Array(Math.max(n + 1, this.#values.length * 2))
    larger.set(this.#values)
    this.#values = larger
  }

  #write(): void {
    this.#written = this.#notes
    const file = path.join(process.env[recordsVariable]!, `record-${threadId}`)
    // Whoever reads meanwhile sees the old file or the new one, never half of it.
    writeFileSync(`${file}.new`, this.#values)
    renameSync(`${file}.new`, file)
  }
}

/** Adds up, job by job, what all threads noted about jobs 0 to `jobs` - 1. */
export function readRecords(dir: string, jobs: number): Float64Array {
  const sums = new Float64Array(jobs)
  for (const file of readdirSync(dir).filter((name) => /^record-\d+$/.test(name))) {
    const bytes = readFileSync(path.join(dir, file))
    const own = new Float64Array(bytes.buffer, bytes.byteOffset, bytes.length / 8)
    for (let n = 0; n < jobs; n += 1) sums[n]! += own[n] ?? 0
  }
  return sums
}
