import type { Contestant } from '../contestants/contestant.ts'

/** After so many jobs Millrace, with its threads, has compiled, and compiled again, what it does for each. */
const compilingJobs = 150_000

/** How many jobs a process takes at first, so that it is as one that has run for long, whatever the rate that follows. */
export function warmUpJobs({ share = 1 }: Pick<Contestant, 'share'> = {}): number {
  return Math.ceil(compilingJobs * share)
}

/** How many jobs are drained for so many that count, which are the last. With the others the process compiles. */
export function withWarmUp(jobs: number): number {
  return Math.ceil(2.5 * jobs)
}
