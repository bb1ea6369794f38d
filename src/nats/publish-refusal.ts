import { JetStreamApiError } from '@nats-io/jetstream'
import { MillraceError } from '../core/errors.ts'
import { explainBrokerError } from './broker-errors.ts'
import type { Publication } from './publication.ts'

const storeFailed = 10077
const messageTooLarge = 10054
const noSpace = [10023, 10047]

/** What the server's answer means, when sending the same again cannot help; undefined when it may. */
export function finalRefusal(
  error: JetStreamApiError,
  { subject, stream }: Publication,
): MillraceError | undefined {
  const { code, message } = error
  if (code === storeFailed && message.includes('maximum')) {
    return new MillraceError(
      'stream_full',
      `stream ${stream} is full (${message}); wait until jobs are done, or raise MILLRACE_MAX_JOBS or MILLRACE_MAX_BYTES`,
      { cause: error },
    )
  }
  if (code === messageTooLarge) return tooLarge(subject, `more than stream ${stream} takes (${message})`)
  return noSpace.includes(code) ? explainBrokerError(error) : undefined
}

export function notPermitted(subject: string, cause: unknown): MillraceError {
  return new MillraceError(
    'not_permitted',
    `the NATS server does not permit publishing to ${subject}, or reading its answer; grant the account both`,
    { cause },
  )
}

export function tooLarge(subject: string, how: string): MillraceError {
  return new MillraceError(
    'payload_too_large',
    `the message to ${subject} has ${how}; store the payload elsewhere and enqueue where it is`,
  )
}

export function misplaced({ subject, stream }: Publication, taker: string): MillraceError {
  return new MillraceError(
    'topology_conflict',
    `stream ${taker} has taken what is published to ${subject}, which belongs into ${stream}; remove that subject from it`,
  )
}

export function missing(stream: string, cause: unknown): MillraceError {
  const what = stream.startsWith('KV_') ? `bucket ${stream.slice(3)}` : `stream ${stream}`
  return new MillraceError(
    'topology_missing',
    `there is no ${what}; a supervisor of this namespace creates it when it starts with MILLRACE_MANAGE=true: start one, or check MILLRACE_NAMESPACE`,
    { cause },
  )
}

/** The time is over; `error` is what was heard last, if anything was. */
export function tooLate(error: unknown, timeoutMs: number): MillraceError {
  if (error instanceof JetStreamApiError) return explainBrokerError(error)
  const heard = error instanceof Error ? ` (${error.message})` : ''
  return new MillraceError(
    'broker_unreachable',
    `the NATS server did not confirm within ${timeoutMs} ms${heard}; whether it has stored the message is not known, and enqueuing again with the same id is safe`,
    { cause: error },
  )
}
