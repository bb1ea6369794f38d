/**
 * How many jobs are drained for so many that count, which are the last. With the others the process compiles, and
 * compiles again, what it does for each job: Millrace, with its threads, is done with that after 150,000 jobs or so.
 */
export function withWarmUp(jobs: number): number {
  return Math.ceil(2.5 * jobs)
}
