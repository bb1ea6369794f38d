import { MillraceError } from '../core/errors.ts'
import type { EnqueuedJob } from './enqueued-job.ts'

/** A job of `enqueueMany` that the server has. */
export interface StoredJob extends EnqueuedJob {
  /** Its place among the jobs, from 0. */
  readonly index: number
}

/** A job of `enqueueMany` that is not stored; after `broker_unreachable` that is not known. */
export interface FailedJob {
  /** Its place among the jobs, from 0. */
  readonly index: number
  /** Undefined when the job was refused before it had one. */
  readonly id: string | undefined
  readonly error: MillraceError
}

/** How many jobs are stored, and what became of the others. */
export interface EnqueueManyReport {
  /** New in their streams. */
  readonly stored: number
  /** Had been enqueued before, by the ids that they were given. */
  readonly duplicates: number
  readonly failed: number
  /** The first 1,000 that failed, by index; `onFailure` hears of all. */
  readonly failures: readonly FailedJob[]
  /** Why there may have been more jobs that were not taken; undefined when all were. */
  readonly stopped: 'aborted' | 'error' | 'closed' | undefined
}

/** How `enqueueMany` goes about it. Every field is optional. */
export interface EnqueueManyOptions<Handler extends string = string> {
  /** Of every job that names none. */
  handler?: Handler | undefined
  /**
   * Jobs that the server has not confirmed. With few, each waits for the network; more than a few thousand only
   * cost memory, and more than a slow server confirms within `requestMs` fail.
   * @default 2000
   */
  inFlightJobs?: number | undefined
  /** Of all payloads and headers that the server has not confirmed. @default 8388608 */
  inFlightBytes?: number | undefined
  /** How long to try until the server has confirmed a job. @default that of the client */
  requestMs?: number | undefined
  /** Take no more jobs once one has failed. @default false */
  stopOnError?: boolean | undefined
  /** Take no more jobs once it aborts; those under way are waited for. */
  signal?: AbortSignal | undefined
  /** Hears of each job that the server has, in whatever order it confirms them. */
  onStored?: ((job: StoredJob) => void) | undefined
  /** Hears of each job that failed. */
  onFailure?: ((failure: FailedJob) => void) | undefined
}

const optionNames = [
  'handler',
  'inFlightJobs',
  'inFlightBytes',
  'requestMs',
  'stopOnError',
  'signal',
  'onStored',
  'onFailure',
] as const satisfies readonly (keyof EnqueueManyOptions)[]

/** @throws {MillraceError} `invalid_job` with every problem. */
export function checkManyOptions(options: EnqueueManyOptions): void {
  const problems: string[] = []
  for (const name of Object.keys(options)) {
    if (!(optionNames as readonly string[]).includes(name))
      problems.push(`${name} is not an option of enqueueMany; there are ${optionNames.join(', ')}`)
  }
  for (const name of ['inFlightJobs', 'inFlightBytes', 'requestMs'] as const) {
    const value = options[name]
    if (value !== undefined && !(Number.isSafeInteger(value) && value >= 1))
      problems.push(`${name} must be a whole number of at least 1, got ${String(value)}`)
  }
  if (problems.length > 0) throw new MillraceError('invalid_job', problems.join('\n'))
}
