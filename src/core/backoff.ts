/** The delays between the attempts of a failing job. */
export interface Backoff {
  kind: 'exponential'
  /** The longest delay after the first attempt. */
  baseMs: number
  /** By how much the longest delay grows with each attempt; at least 1. */
  factor: number
  /** No delay is longer than this. */
  maxMs: number
  /** `full` draws between 0 and the longest delay; `none` takes the longest delay itself. */
  jitter: 'full' | 'none'
}

/** Returns a number from 0 (included) to 1 (excluded). */
export type Random = () => number

/**
 * The delay after attempt `attempt`, in whole milliseconds.
 *
 * Uniform between 0 and min(maxMs, baseMs × factor^(attempt−1)): "full jitter", which spreads the
 * retries of jobs that failed together better than a jitter around the full delay does.
 * Source: Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
 */
export function backoffDelayMs(backoff: Backoff, attempt: number, random: Random): number {
  // The power overflows to infinity, and zero times that is not a number.
  const grownMs = backoff.baseMs === 0 ? 0 : backoff.baseMs * backoff.factor ** (attempt - 1)
  const longestMs = Math.min(backoff.maxMs, grownMs)
  return Math.round(backoff.jitter === 'full' ? random() * longestMs : longestMs)
}
