import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { threadId } from 'node:worker_threads'
import { monotonicMs } from './monotonic.ts'

/** Names the folder that the processes under test leave their records in. */
export const recordsVariable = 'BENCH_RECORDS'

const quietMs = 250
const notesInPage = 16_384

/**
 * Notes, one after the other. Memory that is read before it is written, such as a table of counters by job, is at first
 * the kernel's page of zeros, and the first write to each of its pages interrupts every processor. This is only written.
 */
class Page {
  readonly jobs = new Uint32Array(notesInPage)
  /** How late each was; none of them when the handler notes runs alone. */
  values: Float64Array | undefined
}

/**
 * What one thread notes about the jobs of one handler: which ran, and how late. Noting costs some nanoseconds; it is
 * written to a file of the thread's own when nothing was noted for a moment, never during a load.
 */
export class JobRecord {
  readonly #pages: Page[] = [new Page()]
  #page = this.#pages[0]!
  #at = 0
  #notes = 0
  #seen = 0
  #timer: NodeJS.Timeout | undefined
  readonly #handler: string

  /** @param handler - whose jobs these are; each has records of its own. */
  constructor(handler: string) {
    this.#handler = handler
  }

  /** Notes a run of job `n`. */
  ran(n: number): void {
    this.#page.jobs[this.#at] = n
    this.#noted()
  }

  /** Notes a run, and how much later it is than `at`, such as when the job should have been sent. */
  late(n: number, at: number): void {
    this.#page.values ??= new Float64Array(notesInPage)
    this.#page.values[this.#at] = monotonicMs() - at
    this.ran(n)
  }

  #noted(): void {
    this.#notes += 1
    this.#at += 1
    if (this.#at === notesInPage) {
      this.#page = new Page()
      this.#pages.push(this.#page)
      this.#at = 0
    }
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

  #write(): void {
    const file = path.join(
      process.env[recordsVariable]!,
      `record-${this.#handler}-${process.pid}-${threadId}`,
    )
    const pairs = new Float64Array(2 * this.#notes)
    for (let note = 0; note < this.#notes; note += 1) {
      const { jobs, values } = this.#pages[Math.floor(note / notesInPage)]!
      pairs[2 * note] = jobs[note % notesInPage]!
      pairs[2 * note + 1] = values?.[note % notesInPage] ?? 0
    }
    // Whoever reads meanwhile sees the old file or the new one, never half of it.
    writeFileSync(`${file}.new`, pairs)
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
    const pairs = new Float64Array(bytes.buffer, bytes.byteOffset, bytes.length / 8)
    for (let at = 0; at < pairs.length; at += 2) {
      const n = pairs[at]!
      if (n >= jobs) continue
      runs[n]! += 1
      values[n]! += pairs[at + 1]!
    }
  }
  return { runs, values }
}
