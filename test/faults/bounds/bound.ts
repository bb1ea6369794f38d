import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from '../../support/eventually.ts'
import type { JetStreamView } from '../../support/jetstream-view.ts'
import type { Ledger } from '../../support/ledger.ts'
import { projectRoot, type Supervisor } from '../../support/supervisor.ts'

/** Few handlers with small graces, so that a stop has the bound that its settings say. */
export const boundsHandlers = join(projectRoot, 'test/fixtures/handlers/bounds')

/** One limit of the runtime, and what was measured against it. */
export interface Row {
  readonly bound: string
  readonly limit: string
  readonly measured: string
  /** Against the strict limit; a machine under load may miss one that is a time. */
  readonly holds: boolean
  /** What the numbers were made of, or why there are none. */
  readonly detail?: string
  /** Times and sizes behind `measured`, for a test with limits of its own. */
  readonly values: readonly number[]
}

/** Ends what a measurement started, the newest first; takes the place of a test's context. */
export class Scope {
  readonly #ends: (() => unknown)[] = []

  after(end: () => unknown): void {
    this.#ends.push(end)
  }

  async end(): Promise<void> {
    for (const end of this.#ends.reverse()) await end()
  }

  /** Runs a measurement and ends what it started, whether it succeeds or not. */
  static async of<T>(measure: (scope: Scope) => Promise<T>): Promise<T> {
    const scope = new Scope()
    try {
      return await measure(scope)
    } finally {
      await scope.end()
    }
  }
}

/** Waits until no more than so many jobs are left of those that only this supervisor takes. */
export async function untilLeft(broker: JetStreamView, supervisor: Supervisor, most: number): Promise<void> {
  await eventually(
    `at most ${most} jobs are left`,
    async () => supervisor.stillRuns() ?? (await broker.jobsLeft()) <= most,
    600_000,
  )
}

/** How many jobs of the handler `tally` did not run, and how many did more than once. */
export function readTally({ path }: Ledger, jobs: number): { lost: number; repeated: number } {
  const runs = new Uint8Array(jobs)
  for (const line of readFileSync(`${path}.tally`, 'latin1').split('\n')) {
    if (line !== '') runs[Number(line)]! += 1
  }
  return {
    lost: runs.filter((count) => count === 0).length,
    repeated: runs.filter((count) => count > 1).length,
  }
}

/** Milliseconds of the clock that the ledger's lines are timed by. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000
}

/** The value that so large a share of all values does not exceed. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((one, other) => one - other)
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
}

/** Several times as their median, p99 and largest. */
export function describeTimes(times: readonly number[]): string {
  const [p50, p99, max] = [0.5, 0.99, 1].map((share) => Math.round(quantile(times, share)))
  return `p50 ${p50} ms, p99 ${p99} ms, max ${max} ms (${times.length} times)`
}

/** What the kernel says that a process uses. */
export interface Footprint {
  readonly rssMb: number
  readonly files: number
  readonly threads: number
}

export function footprintOf(pid: number): Footprint {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return {
    rssMb: Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) / 1024,
    files: readdirSync(`/proc/${pid}/fd`).length,
    threads: readdirSync(`/proc/${pid}/task`).length,
  }
}
