import { MillraceError } from '../core/errors.ts'
import type { JobOutcome } from '../core/job-outcome.ts'

/** How long to wait for the end of a job, and what to do meanwhile. */
export interface WaitOptions {
  /** @default 30000 */
  timeoutMs?: number | undefined
  /** Ends the waiting; `waitFor` rejects with its reason. */
  signal?: AbortSignal | undefined
  /**
   * Hears what the handler says with `ctx.progress(value)`. Events get lost when the connection does, and the
   * last one may come after the outcome.
   */
  onProgress?: ((value: unknown) => void) | undefined
  /** With `onProgress`: listens to this handler's events only, which is cheaper than to those of all. */
  handler?: string | undefined
}

/** Where a waiter looks. */
export interface OutcomeSource {
  outcome(jobId: string): Promise<JobOutcome | undefined>
  onOutcome(jobId: string, callback: () => void): () => void
}

export const defaultTimeoutMs = 30_000
/** Between two looks when nobody says anything: doubled from the first to the longest. */
const firstLookMs = 20
const longestLookMs = 2_000

/**
 * Waits for the end of a job.
 *
 * 1. Looks whether the outcome is there already.
 * 2. Listens for it. The server says so at once when it is stored, but only to whoever is connected.
 * 3. Looks again from time to time all the same, so that what a lost connection swallowed is found, and goes
 *    on when a look fails.
 *
 * @throws {MillraceError} `wait_timeout` when the time is over; `client_closed` when `closed` aborts;
 *   `signal.reason` when the caller's signal does.
 */
export async function waitForOutcome(
  source: OutcomeSource,
  jobId: string,
  options: { timeoutMs: number; signal: AbortSignal | undefined; closed: AbortSignal },
): Promise<JobOutcome> {
  const { timeoutMs, signal, closed } = options
  const giveUpAt = performance.now() + timeoutMs
  let lookMs = firstLookMs
  let hinted = false
  let wake = (): void => {}
  const wakeNow = (): void => wake()
  const stopListening = source.onOutcome(jobId, () => {
    hinted = true
    lookMs = firstLookMs
    wake()
  })
  signal?.addEventListener('abort', wakeNow)
  closed.addEventListener('abort', wakeNow)
  let trouble: unknown
  try {
    for (;;) {
      signal?.throwIfAborted()
      closed.throwIfAborted()
      hinted = false
      try {
        const outcome = await source.outcome(jobId)
        if (outcome) return outcome
        trouble = undefined
      } catch (error) {
        if (error instanceof MillraceError && error.code === 'client_closed') throw error
        trouble = error
      }
      const leftMs = giveUpAt - performance.now()
      if (leftMs <= 0) throw tooLate(jobId, timeoutMs, trouble)
      if (!hinted && !signal?.aborted && !closed.aborted) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, Math.min(lookMs, leftMs))
          wake = () => {
            clearTimeout(timer)
            resolve()
          }
        })
        lookMs = Math.min(longestLookMs, lookMs * 2)
      }
    }
  } finally {
    stopListening()
    signal?.removeEventListener('abort', wakeNow)
    closed.removeEventListener('abort', wakeNow)
  }
}

function tooLate(jobId: string, timeoutMs: number, trouble: unknown): MillraceError {
  const why =
    trouble instanceof Error
      ? `the NATS server does not answer (${trouble.message})`
      : 'it has not ended yet, its handler lacks `result: true`, or its outcome is older than MILLRACE_RESULT_TTL_MS'
  return new MillraceError('wait_timeout', `no outcome of job ${jobId} within ${timeoutMs} ms: ${why}`, {
    cause: trouble,
  })
}
