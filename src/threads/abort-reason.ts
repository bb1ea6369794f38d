import type { AbortCode } from '../core/handler-definition.ts'

/** What `signal.reason` is: an error whose code says why the attempt was asked to stop. */
export class AbortReason extends Error {
  readonly code: AbortCode

  constructor(code: AbortCode) {
    super(abortMessages[code])
    this.name = 'AbortError'
    this.code = code
  }
}

const abortMessages: Record<AbortCode, string> = {
  deadline: 'the attempt reached its deadline',
  shutdown: 'the supervisor is shutting down',
  lease_lost: 'the lease of this delivery was lost; another supervisor may run the job',
  cancelled: 'the job was cancelled',
}
