import { type ApiError, JetStreamApiError } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { type HeaderReading, readHeaderBlock } from './header-block.ts'

const requestMs = 5_000
const messageMissing = 10037

/** What lies at a place of a stream, without its payload. */
export interface StoredMessage {
  /** As far as they can be read. */
  readonly headers: NonNullable<HeaderReading['headers']>
  /** Epoch milliseconds. */
  readonly storedAt: number
}

interface Answer {
  readonly error?: ApiError
  readonly message?: { readonly hdrs?: string; readonly time: string }
}

/**
 * Asks the leader of a stream what lies at a place of it; undefined when nothing does. The client has a request for
 * that, too, but reads headers in a time that grows with the square of their number; see `readHeaders`.
 *
 * @throws {JetStreamApiError} when the server refuses, and errors of the client when it does not answer.
 */
export async function readStoredMessage(
  nc: NatsConnection,
  stream: string,
  sequence: number,
): Promise<StoredMessage | undefined> {
  const query = JSON.stringify({ seq: sequence })
  const answer = await nc.request(`$JS.API.STREAM.MSG.GET.${stream}`, query, { timeout: requestMs })
  const { error, message } = answer.json<Answer>()
  if (error && error.err_code !== messageMissing) throw new JetStreamApiError(error)
  if (!message) return undefined
  const { headers } = readHeaderBlock(Buffer.from(message.hdrs ?? '', 'base64'))
  return { headers: headers ?? [], storedAt: Date.parse(message.time) }
}

/** The first value of a header; undefined when it is not there. Case matters, as it does to the server. */
export function headerOf({ headers }: StoredMessage, name: string): string | undefined {
  return headers.find(([each]) => each === name)?.[1]
}
