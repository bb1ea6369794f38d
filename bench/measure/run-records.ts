import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { threadId } from 'node:worker_threads'

/** Names the folder that handlers leave their records in. */
export const recordsVariable = 'BENCH_RECORDS'

const quietMs = 250

/**
 * Counts, on one thread, how often each job ran. Counting costs some nanoseconds; the counts are
 * written to a file of the thread's own when it has been quiet for a moment, never during a load.
 */
export class RunRecord {
  #counts = new Uint8Array(1 << 18)
  #runs = 0
  #seen = 0
  #written = 0

  constructor() {
    setInterval(() => {
      if (this.#runs === this.#seen && this.#runs !== this.#written) this.#write()
      this.#seen = this.#runs
    }, quietMs).unref()
  }

  ran(n: number): void {
    if (n >= this.#counts.length) this.#grow(n)
    this.#counts[n]! += 1
    this.#runs += 1
  }

  #grow(n: number): void {
    const larger = new Uint8Array(Math.max(n + 1, this.#counts.length * 2))
    larger.set(this.#counts)
    this.#counts = larger
  }

  #write(): void {
    this.#written = this.#runs
    const file = path.join(process.env[recordsVariable]!, `runs-${threadId}`)
    // Whoever reads meanwhile sees the old file or the new one, never half of it.
    writeFileSync(`${file}.new`, this.#counts)
    renameSync(`${file}.new`, file)
  }
}

/** Adds up what all threads wrote about jobs 0 to `jobs` - 1. */
export function readRuns(dir: string, jobs: number): { total: number; missing: number; doubled: number } {
  const counts = new Uint32Array(jobs)
  for (const file of readdirSync(dir).filter((name) => /^runs-\d+$/.test(name))) {
    const own = readFileSync(path.join(dir, file))
    for (let n = 0; n < jobs; n += 1) counts[n]! += own[n] ?? 0
  }
  let total = 0
  let missing = 0
  let doubled = 0
  for (const count of counts) {
    total += count
    if (count === 0) missing += 1
    if (count > 1) doubled += 1
  }
  return { total, missing, doubled }
}
