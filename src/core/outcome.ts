import type { ErrorCode } from './errors.ts'
import type { AbortCode } from './handler-definition.ts'
import { type Whereabouts, whereaboutsText } from './whereabouts.ts'

/** What is kept of an error: enough for a log line, a dead letter and a history, and nothing of the payload. */
export interface AttemptError {
  /** One of ours, or the error's own `code` when it has one. */
  readonly code: ErrorCode | (string & {})
  readonly message: string
  readonly stack?: string
  /** The innermost frames of the stack: `function (file:line:column)`, without ours that called the handler. */
  readonly frames?: readonly string[]
}

/** How an attempt, or the try to start one, ended. */
export type Outcome =
  | { readonly kind: 'completed' }
  | { readonly kind: 'failed'; readonly error: AttemptError; readonly steer?: Steer }
  | { readonly kind: 'timed_out'; readonly error: AttemptError }
  | { readonly kind: 'crashed'; readonly error: AttemptError }
  | { readonly kind: 'snoozed'; readonly delayMs: number }
  /** Told to stop because somebody cancelled the job, and did not complete instead. */
  | { readonly kind: 'cancelled'; readonly error: AttemptError }
  /** Cut short by us: a shutdown, or a lease that was lost. */
  | { readonly kind: 'interrupted' }
  /** The payload or a header cannot be understood: the handler never ran. */
  | { readonly kind: 'invalid'; readonly error: AttemptError }
  /** Too late to start: the handler never ran. */
  | { readonly kind: 'expired' }

/** What a handler asked for by throwing one of the steering errors. */
export type Steer =
  | { readonly kind: 'permanent' }
  | { readonly kind: 'retry_later'; readonly delayMs: number }

export const completed: Outcome = { kind: 'completed' }

/** The outcomes that `millrace_attempts_total` counts, in the words of its label. */
export const attemptOutcomes = [
  'completed',
  'failed',
  'timed_out',
  'crashed',
  'interrupted',
  'snoozed',
  'cancelled',
] as const
export type AttemptOutcome = (typeof attemptOutcomes)[number]

/**
 * What an attempt's end means once its signal was aborted: returning is completing, whatever else
 * happens after the deadline is `timed_out`, after a cancel `cancelled`, and after a shutdown or a lost
 * lease it is `interrupted`.
 */
export function underAbort(
  outcome: Outcome,
  abort: AbortCode | undefined,
  deadlineMs: number,
  where?: Whereabouts,
): Outcome {
  if (
    abort === undefined ||
    outcome.kind === 'completed' ||
    outcome.kind === 'invalid' ||
    outcome.kind === 'expired'
  ) {
    return outcome
  }
  if (abort === 'deadline') return timedOut(deadlineMs, where)
  if (abort === 'cancelled') return cancelled
  return outcome.kind === 'crashed' ? outcome : { kind: 'interrupted' }
}

/** What a cancelled job says in its dead letter, whether it ran or not. */
export const cancelledError: AttemptError = { code: 'cancelled', message: 'the job was cancelled' }

/** The outcome of an attempt that a cancel ended. */
export const cancelled: Outcome = { kind: 'cancelled', error: cancelledError }

/** The outcome of an attempt that was still running at its deadline, `where` its thread was asked about it. */
export function timedOut(deadlineMs: number, where?: Whereabouts): Outcome {
  const found = where && whereaboutsText(where)
  return {
    kind: 'timed_out',
    error: {
      code: 'deadline_exceeded',
      message: `the attempt was still running at its deadline of ${deadlineMs} ms${found === undefined ? '' : `, ${found}`}`,
    },
  }
}
