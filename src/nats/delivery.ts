import type { HeaderEntry } from '../core/dead-letter.ts'
import type { Delivery } from '../engine/ports.ts'

/** The parts of a NATS message that a delivery is made of. */
interface Message {
  readonly subject: string
  readonly reply?: string
  readonly data: Uint8Array
  readonly headers?: Iterable<[string, string[]]> | undefined
}

/** What the reply subject of a delivered message says. */
export interface AckSubject {
  readonly stream: string
  readonly consumer: string
  readonly deliveries: number
  readonly sequence: number
  /** Epoch milliseconds. */
  readonly storedAt: number
}

/**
 * Reads `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>`, and the
 * longer form of newer servers, which has domain and account before the stream.
 * Source: NATS ADR-15, "JetStream subjects".
 */
export function readAckSubject(reply: string): AckSubject | undefined {
  const tokens = reply.split('.')
  if (tokens[0] !== '$JS' || tokens[1] !== 'ACK') return undefined
  const at = tokens.length >= 11 ? 4 : 2
  if (tokens.length < at + 7) return undefined
  return {
    stream: tokens[at]!,
    consumer: tokens[at + 1]!,
    deliveries: Number(tokens[at + 2]),
    sequence: Number(tokens[at + 3]),
    storedAt: Math.floor(Number(tokens[at + 5]) / 1e6),
  }
}

/** A delivered message as the engine knows it. */
export function toDelivery(message: Message, ack: AckSubject, handler: string): Delivery {
  const { headers, problem } = readHeaders(message)
  return {
    handler,
    stream: ack.stream,
    subject: message.subject,
    sequence: ack.sequence,
    deliveries: ack.deliveries,
    storedAt: ack.storedAt,
    reply: message.reply!,
    data: message.data,
    headers,
    headerProblem: problem,
  }
}

function readHeaders(message: Message): { headers: HeaderEntry[] | undefined; problem: string | undefined } {
  try {
    if (!message.headers) return { headers: undefined, problem: undefined }
    const entries: HeaderEntry[] = []
    for (const [name, values] of message.headers) for (const value of values) entries.push([name, value])
    return { headers: entries.length > 0 ? entries : undefined, problem: undefined }
  } catch {
    return { headers: [], problem: 'the header block is not a NATS header block' }
  }
}
