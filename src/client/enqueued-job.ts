import type { NewJob } from './new-job.ts'

/** Where a job was stored. */
export interface EnqueuedJob {
  readonly id: string
  readonly stream: string
  readonly sequence: number
  /** The stream has had a job with this id within its duplicate window: nothing new was stored. */
  readonly duplicate: boolean
}

/**
 * What to tell of a job that the server has. Nobody else has an id that was made up for this job: if the server
 * knew it, then from an earlier try whose answer was lost.
 */
export function enqueuedJob(
  { id, idGiven, stream }: NewJob,
  { sequence, duplicate }: { readonly sequence: number; readonly duplicate: boolean },
): EnqueuedJob {
  return { id, stream, sequence, duplicate: duplicate && idGiven }
}
