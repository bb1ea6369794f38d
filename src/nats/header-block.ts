import { type HeaderEntry, isKeptInDeadLetter } from '../core/dead-letter.ts'
import { mostHeaders, mostOwnHeaders } from '../core/job-headers.ts'
import { hasNoHeaders } from './message-parser.ts'

/** What the client knows of a message, without having looked at its headers. */
export interface ReceivedMessage {
  readonly reply?: string
  readonly data: Uint8Array
  readonly headers?: Iterable<[string, string[]]> | undefined
  /** Bytes of subject, reply, headers and payload. */
  size?(): number
}

/** The headers of a job; undefined when it has none. With a problem they are what could be read. */
export interface HeaderReading {
  readonly headers: HeaderEntry[] | undefined
  readonly problem: string | undefined
  /** How many more there are that a dead letter would have kept. */
  readonly unread: number
}

const none: HeaderReading = { headers: undefined, problem: undefined, unread: 0 }
const versionLine = 'NATS/1.0'
const unreadable = 'the header block is not a NATS header block'
const broken: HeaderReading = { headers: [], problem: unreadable, unread: 0 }
const tooMany = `the job has more than ${mostHeaders} headers; put what they say into the payload`

/**
 * Reads the headers of a job as the client does, in a time that grows with their size.
 *
 * The client's own reading compares each header with all before it: a block of 64 KiB, the most that a stream
 * takes, stops the process for 3.7 s where this takes 1 ms, so a few messages would cost a whole fleet its
 * leases. It is not asked; the block lies in front of the payload, in the same buffer.
 *
 * @param subject - of the message, so that its length is known without decoding it.
 */
export function readHeaders(message: ReceivedMessage, subject: string): HeaderReading {
  if (hasNoHeaders(message)) return none
  const { data, reply = '' } = message
  const total = message.size?.()
  if (total === undefined) return readDecoded(message)
  const length = total - subject.length - reply.length - data.length
  if (length === 0) return none
  // Then it cannot be told where the block is.
  if (length < 0 || length > data.byteOffset) return readDecoded(message)
  return readHeaderBlock(new Uint8Array(data.buffer, data.byteOffset - length, length))
}

/** Reads a block of bytes: `NATS/1.0`, then one header a line. */
export function readHeaderBlock(block: Uint8Array): HeaderReading {
  const lines = new TextDecoder().decode(block).split('\r\n')
  if (!lines[0]?.startsWith(versionLine)) return broken
  const entries: HeaderEntry[] = []
  let own = 0
  for (let at = 1; at < lines.length; at += 1) {
    const line = lines[at]!
    const colon = line.indexOf(':')
    if (colon < 0) continue
    const name = line.slice(0, colon)
    if (!/^[!-9;-~]*$/.test(name) || /[\r\n]/.test(line)) return broken
    if (isOwnHeader(name)) own += 1
    if (own > mostOwnHeaders || entries.length + 1 - own > mostHeaders)
      return { headers: entries, problem: tooMany, unread: countKept(lines, at) }
    entries.push([name, line.slice(colon + 1).trim()])
  }
  return { ...none, headers: entries.length > 0 ? entries : undefined }
}

/** Whether a header counts among ours and the server's, and not among the application's. */
export function isOwnHeader(name: string): boolean {
  return /^(nats|millrace)-/i.test(name)
}

function countKept(lines: readonly string[], from: number): number {
  let count = 0
  for (let at = from; at < lines.length; at += 1) {
    const line = lines[at]!
    const colon = line.indexOf(':')
    if (colon >= 0 && isKeptInDeadLetter(line.slice(0, colon))) count += 1
  }
  return count
}

function readDecoded(message: ReceivedMessage): HeaderReading {
  try {
    if (!message.headers) return none
    const entries: HeaderEntry[] = []
    for (const [name, values] of message.headers) for (const value of values) entries.push([name, value])
    return { ...none, headers: entries.length > 0 ? entries : undefined }
  } catch {
    return broken
  }
}
