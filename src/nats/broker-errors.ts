import { errors } from '@nats-io/transport-node'
import { MillraceError } from '../core/errors.ts'

/** The error of a request to JetStream, in words that say what to do. */
export function explainBrokerError(error: unknown): MillraceError {
  if (error instanceof MillraceError) return error
  if (
    hasCause(error, errors.NoRespondersError) ||
    (error instanceof Error && error.name === 'JetStreamNotEnabled')
  ) {
    return new MillraceError(
      'jetstream_disabled',
      'the NATS server answers, but JetStream is not enabled for this account; start it with -js, or enable it for the account',
      { cause: error },
    )
  }
  if (hasCause(error, errors.PermissionViolationError)) {
    return new MillraceError(
      'not_permitted',
      `the NATS server does not permit this: ${messageOf(error)}; grant it, or set MILLRACE_MANAGE=false and create streams, consumers and buckets elsewhere`,
      { cause: error },
    )
  }
  return new MillraceError(
    'broker_request_failed',
    `the NATS server did not carry out a request: ${messageOf(error)}`,
    { cause: error },
  )
}

/** The same, for a request that got no answer within `limitMs` or was refused. */
export function explainRequest(error: unknown, limitMs: number): MillraceError {
  const silent = hasCause(error, errors.TimeoutError) || hasCause(error, errors.ConnectionError)
  if (!silent) return explainBrokerError(error)
  return new MillraceError(
    'broker_unreachable',
    `the NATS server did not answer within ${limitMs} ms; it is away, slow, or does not permit the question`,
    { cause: error },
  )
}

/** Whether an error, or what it was caused by, is of this class. */
export function hasCause(error: unknown, kind: abstract new (...rest: never[]) => Error): boolean {
  if (error instanceof kind) return true
  const cause = (error as { cause?: unknown } | undefined)?.cause
  return cause !== undefined && hasCause(cause, kind)
}

function messageOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : ''
  return `${error instanceof Error ? error.message : String(error)}${cause}`
}
