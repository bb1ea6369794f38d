import type { PoolName, RateLimit } from '../core/handler-definition.ts'
import type { RetryPolicy } from '../core/verdict.ts'

/** A handler with every option settled. */
export interface HandlerProfile {
  readonly name: string
  readonly pool: PoolName
  readonly deadlineMs: number
  readonly graceMs: number
  readonly retry: RetryPolicy
  readonly concurrency: number
  /** On all supervisors together; infinite when it is not limited. */
  readonly maxInFlight: number
  readonly rateLimit: RateLimit | undefined
  /** What it returns is kept for whoever asks. */
  readonly result: boolean
}
