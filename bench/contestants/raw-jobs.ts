/** The protocol by hand, for the contestants that show how little it can cost. */
import { connect, type Socket } from 'node:net'
import { jobStream } from '../stage/stage.ts'

const inbox = `_INBOX.raw-${process.pid}`
const space = 0x20
const lineEnd = Buffer.from('\r\n')

export type RawHandlers = {
  /** Connected and subscribed: nothing comes before the first `pull()`. */
  ready(): void
  /** A job came; its headers, if it has any, and its payload lie between `from` and `to`. */
  job(reply: string, chunk: Buffer, from: number, to: number): void
}

/**
 * Takes and acks jobs of one consumer over a socket of its own, with the least work that the protocol allows
 * (https://docs.nats.io/reference/reference-protocols/nats-protocol and
 * https://docs.nats.io/reference/reference-protocols/nats_api_reference): headers and payloads are skipped by their
 * lengths, nothing is allocated for a job but its reply subject, and what is said while one piece is read is one write.
 */
export class RawJobs {
  readonly #handlers: RawHandlers
  readonly #pullSubject: string
  readonly #socket: Socket
  #rest: Buffer = Buffer.alloc(0)
  #isReady = false
  #unsent = ''

  constructor(url: string, handler: string, handlers: RawHandlers) {
    this.#handlers = handlers
    this.#pullSubject = `$JS.API.CONSUMER.MSG.NEXT.${jobStream}.${handler}`
    this.#socket = connect(Number(new URL(url).port), '127.0.0.1')
    this.#socket.setNoDelay(true)
    this.#socket.on('data', (chunk: Buffer) => {
      this.#read(chunk)
      this.flush()
    })
  }

  /** Asks for so many more jobs, with the next flush. */
  pull(jobs: number): void {
    const body = `{"batch":${jobs}}`
    this.#unsent += `PUB ${this.#pullSubject} ${inbox} ${body.length}\r\n${body}\r\n`
  }

  /** With the next flush. */
  ack(reply: string): void {
    this.#unsent += `PUB ${reply} 0\r\n\r\n`
  }

  flush(): void {
    if (this.#unsent === '') return
    this.#socket.write(this.#unsent, 'latin1')
    this.#unsent = ''
  }

  #read(chunk: Buffer): void {
    const rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let at = 0
    for (;;) {
      const end = rest.indexOf(lineEnd, at)
      if (end === -1) break
      const first = rest[at]!
      // MSG and HMSG; the other lines of a server are INFO, PING, +OK and -ERR.
      if (first !== 0x4d && first !== 0x48) {
        this.#line(rest.toString('latin1', at, end))
        at = end + 2
        continue
      }
      const lengthAt = rest.lastIndexOf(space, end) + 1
      const bodyEnd = end + 2 + Number(rest.toString('latin1', lengthAt, end))
      if (bodyEnd + 2 > rest.length) break
      // MSG <subject> <sid> <reply> <length>, HMSG <subject> <sid> <reply> <header length> <length>
      const fields = rest.toString('latin1', at, end).split(' ')
      if (fields.length < (first === 0x4d ? 5 : 6))
        throw new Error(`a pull ended: ${rest.toString('latin1', at, bodyEnd)}`)
      this.#handlers.job(fields[3]!, rest, end + 2, bodyEnd)
      at = bodyEnd + 2
    }
    this.#rest = rest.subarray(at)
  }

  #line(line: string): void {
    if (line.startsWith('PING')) this.#unsent += 'PONG\r\n'
    if (line.startsWith('-ERR')) throw new Error(line)
    if (!line.startsWith('INFO') || this.#isReady) return
    this.#isReady = true
    this.#unsent += `CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nSUB ${inbox} 1\r\n`
    this.#handlers.ready()
  }
}
