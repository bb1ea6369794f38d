import { connect, type Socket } from 'node:net'

/** What the server answered to a publish. */
export type PublishAnswer =
  | { readonly kind: 'stored'; readonly stream: string; readonly sequence: number }
  | { readonly kind: 'duplicate'; readonly stream: string; readonly sequence: number }
  | { readonly kind: 'refused'; readonly description: string }
  /** No stream takes the subject. */
  | { readonly kind: 'nobody' }

const inbox = '_FUZZ'

/**
 * A publisher that writes the NATS protocol itself, because every client library refuses what is sent here:
 * header blocks of any bytes, and subjects of any kind. Answers arrive in any order, by number.
 * Source: NATS client protocol, "HPUB" and "HMSG".
 */
export class WirePublisher {
  readonly #socket: Socket
  readonly #waiting = new Map<number, (answer: PublishAnswer) => void>()
  #unread: Buffer = Buffer.alloc(0)
  /** What the server complained about, if it did. */
  error: string | undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on('data', (chunk) => this.#read(chunk))
    socket.on('error', (error) => this.#fail(error.message))
    socket.on('close', () => this.#fail('the server closed the connection'))
  }

  static async open(url: string): Promise<WirePublisher> {
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname)
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    const publisher = new WirePublisher(socket)
    const options = {
      verbose: false,
      pedantic: false,
      headers: true,
      no_responders: true,
      protocol: 1,
      lang: 'fuzz',
    }
    socket.write(
      `CONNECT ${JSON.stringify({ ...options, version: '1', name: 'fuzz' })}\r\nSUB ${inbox}.* 1\r\n`,
    )
    return publisher
  }

  /** How many publishes have no answer yet. */
  get unanswered(): number {
    return this.#waiting.size
  }

  /** Bytes that the server has not taken yet. */
  get buffered(): number {
    return this.#socket.writableLength
  }

  publish(
    id: number,
    subject: string,
    block: Uint8Array | undefined,
    body: Uint8Array,
  ): Promise<PublishAnswer> {
    const head = block
      ? `HPUB ${subject} ${inbox}.${id} ${block.length} ${block.length + body.length}\r\n`
      : `PUB ${subject} ${inbox}.${id} ${body.length}\r\n`
    this.#socket.cork()
    this.#socket.write(head)
    if (block) this.#socket.write(block)
    this.#socket.write(body)
    this.#socket.write('\r\n')
    this.#socket.uncork()
    return new Promise((resolve) => this.#waiting.set(id, resolve))
  }

  close(): void {
    this.#socket.destroy()
  }

  #fail(reason: string): void {
    this.error ??= reason
    for (const answer of this.#waiting.values()) answer({ kind: 'refused', description: this.error })
    this.#waiting.clear()
  }

  #read(chunk: Buffer): void {
    let unread = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk])
    for (;;) {
      const end = unread.indexOf('\r\n')
      if (end < 0) break
      const words = unread.toString('latin1', 0, end).split(' ')
      const isMessage = words[0] === 'MSG' || words[0] === 'HMSG'
      const size = isMessage ? Number(words.at(-1)) + 2 : 0
      if (unread.length < end + 2 + size) break
      if (isMessage) {
        const headerBytes = words[0] === 'HMSG' ? Number(words.at(-2)) : 0
        const message = unread.subarray(end + 2, end + size)
        this.#answer(
          Number(words[1]!.slice(inbox.length + 1)),
          message.subarray(headerBytes),
          headerBytes > 0,
        )
      } else if (words[0] === 'PING') this.#socket.write('PONG\r\n')
      else if (words[0] === '-ERR') this.error ??= words.slice(1).join(' ')
      unread = unread.subarray(end + 2 + size)
    }
    this.#unread = unread
  }

  #answer(id: number, body: Uint8Array, hasHeaders: boolean): void {
    const answer = this.#waiting.get(id)
    this.#waiting.delete(id)
    answer?.(
      hasHeaders && body.length === 0 ? { kind: 'nobody' } : readPublishAck(Buffer.from(body).toString()),
    )
  }
}

function readPublishAck(text: string): PublishAnswer {
  const ack = JSON.parse(text) as {
    stream: string
    seq: number
    duplicate?: boolean
    error?: { description: string }
  }
  if (ack.error) return { kind: 'refused', description: ack.error.description }
  return { kind: ack.duplicate === true ? 'duplicate' : 'stored', stream: ack.stream, sequence: ack.seq }
}
