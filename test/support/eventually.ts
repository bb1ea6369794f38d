import { setTimeout as sleep } from 'node:timers/promises'

/** What is looked at may be a whole page of metrics; the longer it takes, the less often. */
const firstPauseMs = 10
const longestPauseMs = 60

type Falsy = undefined | null | false | 0

/**
 * Waits until a condition holds, and returns what it returned.
 *
 * A condition that throws does not hold yet; its last error explains the failure. `withinMs` is a
 * bound for a machine under load, not an expectation: a green run never comes near it.
 */
export async function eventually<T>(
  what: string,
  condition: () => Falsy | T | Promise<Falsy | T>,
  withinMs = 60_000,
): Promise<T> {
  const startedAt = performance.now()
  let cause: unknown
  let pauseMs = firstPauseMs
  for (;;) {
    try {
      const value = await condition()
      if (value) return value
      cause = undefined
    } catch (error) {
      if (error instanceof GiveUp) throw error
      cause = error
    }
    if (performance.now() - startedAt > withinMs) {
      const because = cause === undefined ? '' : `: ${cause instanceof Error ? cause.message : String(cause)}`
      throw new Error(`not within ${withinMs} ms: ${what}${because}`, { cause })
    }
    await sleep(pauseMs)
    pauseMs = Math.min(longestPauseMs, pauseMs * 1.3)
  }
}

/** Thrown by a condition that can no longer come to hold, so that waiting on makes no sense. */
export class GiveUp extends Error {}
