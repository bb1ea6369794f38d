import { type Backoff, backoffDelayMs, type Random } from './backoff.ts'
import type { Outcome } from './outcome.ts'

/** Why a job was given up on: the values of `Millrace-Dead-Reason`. */
export const deadReasons = [
  'exhausted',
  'permanent',
  'deadline',
  'crashed',
  'invalid',
  'expired',
  'cancelled',
] as const
export type DeadReason = (typeof deadReasons)[number]

/** The one thing to do with a delivery. */
export type Verdict =
  | { readonly kind: 'ack' }
  /** Attempt it again after `delayMs`; the attempt that ended counts. */
  | { readonly kind: 'retry'; readonly delayMs: number }
  | { readonly kind: 'dead_letter'; readonly reason: DeadReason }
  /** Give it back after `delayMs`; nothing is counted. */
  | { readonly kind: 'release'; readonly delayMs: number }

export const verdictKinds = [
  'ack',
  'retry',
  'dead_letter',
  'release',
] as const satisfies readonly Verdict['kind'][]

/** How often a job may be attempted, and how far apart. */
export interface RetryPolicy {
  readonly maxAttempts: number
  readonly backoff: Backoff
}

const ack: Verdict = { kind: 'ack' }

/**
 * Turns the end of an attempt into the one thing to do with its delivery.
 *
 * Total and pure: every outcome at every attempt number has exactly one verdict, so the engine never
 * has to choose. A job is given up on only when this was its last attempt, when the handler called
 * the failure permanent, when somebody cancelled it, or when it never could run. An attempt that we cut short never counts.
 */
export function decideVerdict(
  outcome: Outcome,
  attempt: number,
  policy: RetryPolicy,
  random: Random,
): Verdict {
  switch (outcome.kind) {
    case 'completed':
      return ack
    case 'failed':
      if (outcome.steer?.kind === 'permanent') return { kind: 'dead_letter', reason: 'permanent' }
      if (attempt >= policy.maxAttempts) return { kind: 'dead_letter', reason: 'exhausted' }
      if (outcome.steer?.kind === 'retry_later') return { kind: 'retry', delayMs: outcome.steer.delayMs }
      return { kind: 'retry', delayMs: backoffDelayMs(policy.backoff, attempt, random) }
    case 'timed_out':
      if (attempt >= policy.maxAttempts) return { kind: 'dead_letter', reason: 'deadline' }
      return { kind: 'retry', delayMs: backoffDelayMs(policy.backoff, attempt, random) }
    case 'crashed':
      if (attempt >= policy.maxAttempts) return { kind: 'dead_letter', reason: 'crashed' }
      return { kind: 'retry', delayMs: backoffDelayMs(policy.backoff, attempt, random) }
    case 'snoozed':
      return { kind: 'release', delayMs: outcome.delayMs }
    case 'interrupted':
      return { kind: 'release', delayMs: 0 }
    case 'cancelled':
      return { kind: 'dead_letter', reason: 'cancelled' }
    case 'invalid':
      return { kind: 'dead_letter', reason: 'invalid' }
    case 'expired':
      return { kind: 'dead_letter', reason: 'expired' }
  }
}
