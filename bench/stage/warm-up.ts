/**
 * How many jobs every process takes at first where few follow, so that it is as one that has run for long. Millrace, with
 * its threads, has compiled, and compiled again, what it does for each after about so many.
 */
export const warmUpJobs = 150_000

/** How many jobs are drained for so many that count, which are the last. With the others the process compiles. */
export function withWarmUp(jobs: number): number {
  return Math.ceil(2.5 * jobs)
}
