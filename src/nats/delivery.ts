import type { Priority } from '../core/names.ts'
import type { Delivery } from '../engine/broker-port.ts'
import { type ReceivedMessage, readHeaders } from './header-block.ts'

/** What the reply subject of a delivered message says. */
export interface AckSubject {
  /** The whole of it. */
  readonly reply: string
  readonly stream: string
  readonly consumer: string
  readonly deliveries: number
  /** Of the consumer, without those that it has handed out. */
  readonly pending: number
  readonly sequence: number
  /** How many messages the consumer has delivered, this one included. */
  readonly delivered: number
  /** Epoch milliseconds. */
  readonly storedAt: number
}

/** Whose a delivered message is, and where its reply subject goes on with numbers. */
interface Origin {
  /** Of the reply, with the dot. */
  readonly prefix: string
  readonly stream: string
  readonly consumer: string
}

/** Of the last reply; usually the next one's, too. */
let lastOrigin: Origin | undefined

/**
 * Reads `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>`, and the
 * longer form of newer servers, which has domain and account before the stream.
 * Source: NATS ADR-15, "JetStream subjects".
 */
export function readAckSubject(reply: string): AckSubject | undefined {
  if (lastOrigin === undefined || !reply.startsWith(lastOrigin.prefix)) {
    const origin = readOrigin(reply)
    if (origin === undefined) return undefined
    lastOrigin = origin
  }
  const { prefix, stream, consumer } = lastOrigin
  cursor = prefix.length
  const deliveries = nextNumber(reply)
  const sequence = nextNumber(reply)
  const delivered = nextNumber(reply)
  const timeStart = cursor
  const timeEnd = reply.indexOf('.', timeStart)
  if (timeEnd < 0) return undefined
  // Nanoseconds: the last six digits are below a millisecond.
  const storedAt = digits(reply, timeStart, timeEnd - 6)
  cursor = timeEnd + 1
  // Newer servers put a token behind it.
  const pending = nextNumber(reply)
  return { reply, stream, consumer, deliveries, pending, sequence, delivered, storedAt }
}

function readOrigin(reply: string): Origin | undefined {
  if (!reply.startsWith(ackPrefix)) return undefined
  const dots = reply.split('.').length - 1
  if (dots < 8) return undefined
  let from = ackPrefix.length
  // Nine tokens, or eleven and more with domain and account.
  if (dots >= 10) from = reply.indexOf('.', reply.indexOf('.', from) + 1) + 1
  const streamEnd = reply.indexOf('.', from)
  const consumerEnd = reply.indexOf('.', streamEnd + 1)
  return {
    prefix: reply.slice(0, consumerEnd + 1),
    stream: reply.slice(from, streamEnd),
    consumer: reply.slice(streamEnd + 1, consumerEnd),
  }
}

const ackPrefix = '$JS.ACK.'
const zero = 48
const dot = 46

/** Where {@link nextNumber} goes on. */
let cursor = 0

/** Reads the number up to the next dot, and moves the cursor behind that dot. */
function nextNumber(text: string): number {
  let value = 0
  let at = cursor
  for (; at < text.length; at += 1) {
    const code = text.charCodeAt(at)
    if (code === dot) break
    value = value * 10 + (code - zero)
  }
  cursor = at + 1
  return value
}

/** A number within a string; much cheaper than cutting it out, and this is read for every job. */
function digits(text: string, from: number, to: number): number {
  let value = 0
  for (let at = from; at < to; at += 1) value = value * 10 + (text.charCodeAt(at) - zero)
  return value
}

/** Whose jobs a consumer hands out, and their subject. */
export interface DeliverySource {
  readonly handler: string
  readonly priority: Priority
  readonly stream: string
  readonly subject: string
}

/**
 * A delivered message as the engine knows it.
 *
 * @param subject - of the message; another one than the job's while it waits in the stream of delayed jobs.
 */
export function toDelivery(
  message: ReceivedMessage,
  ack: AckSubject,
  source: DeliverySource,
  subject = source.subject,
): Delivery {
  const { headers, problem, unread } = readHeaders(message, subject)
  return {
    handler: source.handler,
    priority: source.priority,
    stream: source.stream,
    subject: source.subject,
    sequence: ack.sequence,
    deliveries: ack.deliveries,
    pending: ack.pending,
    storedAt: ack.storedAt,
    reply: ack.reply,
    data: message.data,
    headers,
    headerProblem: problem,
    headersUnread: unread,
  }
}
