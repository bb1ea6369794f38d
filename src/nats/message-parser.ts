import type { NatsConnection } from '@nats-io/transport-node'

/** What the line before a message says, as the client keeps it. */
export interface MessageLine {
  readonly subject: Uint8Array
  readonly sid: number
  readonly reply: Uint8Array | undefined
  /** Bytes of the headers; -1 without. */
  readonly hdr: number
  /** Bytes of headers and payload. */
  readonly size: number
}

/** The line of a whole message, of which nothing is cut out that nobody asks for. */
class WholeLine implements MessageLine {
  readonly sid: number
  readonly hdr: number
  readonly size: number
  readonly #bytes: Buffer
  readonly #subjectStart: number
  readonly #subjectEnd: number
  /** 0 without a reply. */
  readonly #replyStart: number
  readonly #replyEnd: number

  constructor(
    bytes: Buffer,
    sid: number,
    hdr: number,
    size: number,
    subjectStart: number,
    subjectEnd: number,
    replyStart: number,
    replyEnd: number,
  ) {
    this.#bytes = bytes
    this.sid = sid
    this.hdr = hdr
    this.size = size
    this.#subjectStart = subjectStart
    this.#subjectEnd = subjectEnd
    this.#replyStart = replyStart
    this.#replyEnd = replyEnd
  }

  get subject(): Uint8Array {
    return this.#bytes.subarray(this.#subjectStart, this.#subjectEnd)
  }

  get reply(): Uint8Array | undefined {
    return this.#replyStart === 0 ? undefined : this.#bytes.subarray(this.#replyStart, this.#replyEnd)
  }

  get replyText(): string {
    return this.#bytes.toString('utf8', this.#replyStart, this.#replyEnd)
  }
}

/** Undeclared part of the client's messages. */
interface ClientMessage {
  readonly _msg?: unknown
}

/** The reply subject of a message, as its own getter has it, and for less. */
export function replyOf(message: { readonly reply?: string }): string | undefined {
  const { _msg: line } = message as ClientMessage
  return line instanceof WholeLine ? line.replyText : message.reply
}

/** Whether it is known, without looking, that a message has no headers. */
export function hasNoHeaders(message: object): boolean {
  const { _msg: line } = message as ClientMessage
  return line instanceof WholeLine && line.hdr < 0
}

/** The client's own parser. */
export interface ClientParser {
  parse(bytes: Uint8Array): void
  /** What it is in the middle of. */
  readonly state: number
  /** Of the last message that it began. */
  readonly ma?: { readonly size: number }
  /** What it has of that message's payload, while it waits for the rest; undefined at any other time. */
  readonly msgBuf?: { readonly length: number } | undefined
}

/** Undeclared parts of the client. */
interface Protocol {
  parser: ClientParser | MessageParser
  processMsg(line: MessageLine, data: Uint8Array): void
}

/**
 * Lets the client read messages with a {@link MessageParser}, on this connection and all that follow it. A version of
 * the client that lacks what that needs reads them by itself, and `message-parser.test.ts` fails.
 */
export function hastenMessages(nc: NatsConnection): void {
  const { protocol } = nc as unknown as { protocol?: Partial<Protocol> }
  if (typeof protocol?.processMsg !== 'function' || typeof protocol.parser?.parse !== 'function') return
  const deliver = protocol.processMsg.bind(protocol)
  let parser = new MessageParser(protocol.parser as ClientParser, deliver)
  Object.defineProperty(protocol, 'parser', {
    get: () => parser,
    // It makes a new one for each connection.
    set: (anew: ClientParser) => {
      parser = new MessageParser(anew, deliver)
    },
  })
}

const letterM = 77
const letterS = 83
const letterG = 71
const letterH = 72
const space = 32
const carriageReturn = 13
const lineFeed = 10
const zero = 48
/** The client refuses numbers of more digits. */
const mostDigits = 15
/** The state of the client's parser between two operations. */
const betweenOperations = 0

/**
 * Reads messages as the client's parser does, at a quarter of the cost: that one takes a step, and looks up several
 * constants in objects, for each byte of a line, twice, and cuts pieces out of it by a slow way. It remains in charge of
 * all that is not a whole message: other operations, what is malformed, and a message of which this piece has a part.
 * Source: NATS client protocol, "MSG" and "HMSG".
 */
export class MessageParser {
  readonly #client: ClientParser
  readonly #deliver: (line: MessageLine, data: Uint8Array) => void

  constructor(client: ClientParser, deliver: (line: MessageLine, data: Uint8Array) => void) {
    this.#client = client
    this.#deliver = deliver
  }

  /** @throws whatever the client's parser throws when it does not understand the server. */
  parse(piece: Uint8Array): void {
    // A Buffer cuts itself by code of its own, which is several times as slow, and makes strings of its parts faster.
    const bytes = new Uint8Array(piece.buffer, piece.byteOffset, piece.length)
    const buffer = Buffer.from(piece.buffer, piece.byteOffset, piece.length)
    let at = 0
    while (at < bytes.length) {
      const end = this.#client.state === betweenOperations ? this.#message(bytes, buffer, at) : -1
      if (end >= 0) {
        at = end
        continue
      }
      const handOverUntil = this.#endOfOther(bytes, at)
      this.#client.parse(bytes.subarray(at, handOverUntil))
      at = handOverUntil
    }
  }

  /**
   * Passes on the message that begins there. Returns where it ends, or -1 when there is no whole one, or one that is in
   * any way unusual. What is between payload and line feed is not looked at, as the client does not.
   */
  #message(bytes: Uint8Array, buffer: Buffer, start: number): number {
    const hasHeaders = bytes[start] === letterH
    const verbStart = hasHeaders ? start + 1 : start
    if (bytes[verbStart] !== letterM || bytes[verbStart + 1] !== letterS) return -1
    if (bytes[verbStart + 2] !== letterG || bytes[verbStart + 3] !== space) return -1
    const subjectStart = verbStart + 4
    const subjectEnd = endOfToken(bytes, subjectStart)
    const sidEnd = endOfToken(bytes, subjectEnd + 1)
    // A subject may hold any other character: the client ends a token at white space only.
    if (bytes[subjectEnd] !== space || bytes[sidEnd] !== space) return -1
    // Then come `[reply] <size>`, or with headers `[reply] <size of the headers> <size>`.
    let replyStart = 0
    let beforeLastStart = 0
    let lastStart = sidEnd + 1
    let lineEnd = endOfToken(bytes, lastStart)
    let replies = hasHeaders ? -1 : 0
    while (bytes[lineEnd] === space) {
      replyStart = beforeLastStart
      beforeLastStart = lastStart
      lastStart = lineEnd + 1
      lineEnd = endOfToken(bytes, lastStart)
      replies += 1
    }
    if (replies < 0 || replies > 1) return -1
    const sid = numberIn(bytes, subjectEnd + 1, sidEnd)
    const size = numberIn(bytes, lastStart, lineEnd)
    const hdr = hasHeaders ? numberIn(bytes, beforeLastStart, lastStart - 1) : -1
    if (subjectEnd === subjectStart || sid < 0 || size < 0) return -1
    if (hasHeaders && (hdr < 0 || hdr > size)) return -1
    if (bytes[lineEnd] !== carriageReturn || bytes[lineEnd + 1] !== lineFeed) return -1
    const payload = lineEnd + 2
    const end = payload + size
    if (bytes[end + 1] !== lineFeed) return -1
    const replyFrom = replies === 0 ? 0 : hasHeaders ? replyStart : beforeLastStart
    const replyTo = replies === 0 ? 0 : (hasHeaders ? beforeLastStart : lastStart) - 1
    if (replies === 1 && replyFrom === replyTo) return -1
    const line = new WholeLine(buffer, sid, hdr, size, subjectStart, subjectEnd, replyFrom, replyTo)
    this.#deliver(line, bytes.subarray(payload, end))
    return end + 2
  }

  /** Where the client's parser is to stop: behind what it is in the middle of, or sooner, at the end of a line. */
  #endOfOther(bytes: Uint8Array, at: number): number {
    const { ma, msgBuf } = this.#client
    if (ma && msgBuf) return Math.min(bytes.length, at + Math.max(1, ma.size - msgBuf.length + 2))
    const lineEnd = bytes.indexOf(lineFeed, at)
    return lineEnd < 0 ? bytes.length : lineEnd + 1
  }
}

function endOfToken(bytes: Uint8Array, from: number): number {
  let at = from
  while (at < bytes.length && bytes[at]! > space) at += 1
  return at
}

/** -1 when it is none. */
function numberIn(bytes: Uint8Array, from: number, to: number): number {
  if (from >= to || to - from > mostDigits) return -1
  let value = 0
  for (let at = from; at < to; at += 1) {
    const digit = bytes[at]! - zero
    if (digit < 0 || digit > 9) return -1
    value = value * 10 + digit
  }
  return value
}
