import { headers as createHeaders, type NatsConnection } from '@nats-io/transport-node'
import type { Publication } from './publication.ts'

/** The client's own writer, below `publish`. */
interface Protocol {
  sendCommand(command: string, ...payloads: Uint8Array[]): void
}

/** A publication with its header block, and how long both are on the wire. */
export interface EncodedPublication {
  readonly publication: Publication
  readonly block: string
  readonly blockBytes: number
  /** Of the block and the payload, which is what the server's `max_payload` limits. */
  readonly bytes: number
}

/** So much is handed on at once, at most; more gains nothing and is held twice. */
const pieceBytes = 65_536
const lineEnd = Buffer.from('\r\n')

/**
 * Publishes; writes what comes within one turn of the event loop as one piece.
 *
 * A publish of the client's costs a header object, four buffers and their copies, more than all the rest of an
 * enqueue. This builds the same protocol lines as one string, which is encoded once. It uses the client's
 * internal writer, and publishes one by one should a version of the client lack it.
 * Source: NATS client protocol, "HPUB".
 */
export class PublishWriter {
  readonly #nc: NatsConnection
  readonly #protocol: Protocol | undefined
  #text = ''
  #scheduled = false

  constructor(nc: NatsConnection) {
    this.#nc = nc
    const { protocol } = nc as unknown as { protocol?: Partial<Protocol> }
    this.#protocol = typeof protocol?.sendCommand === 'function' ? (protocol as Protocol) : undefined
  }

  add(encoded: EncodedPublication, reply: string): void {
    const { publication, block, blockBytes, bytes } = encoded
    const { subject, data } = publication
    if (!this.#protocol) {
      this.#publishOne(publication, reply)
      return
    }
    const sizes = blockBytes === 0 ? `${bytes}` : `${blockBytes} ${bytes}`
    this.#text += `${blockBytes === 0 ? 'PUB' : 'HPUB'} ${subject} ${reply} ${sizes}\r\n${block}`
    if (typeof data === 'string') this.#text += `${data}\r\n`
    else this.#hand(data, lineEnd)
    if (this.#text.length >= pieceBytes) this.flush()
    if (this.#text === '' || this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.flush()
    })
  }

  /** Hands over what was added to the connection. */
  flush(): void {
    if (this.#text !== '') this.#hand()
  }

  #hand(...payloads: Uint8Array[]): void {
    const text = this.#text
    this.#text = ''
    if (!this.#nc.isClosed()) this.#protocol?.sendCommand(text, ...payloads)
  }

  #publishOne({ subject, id, headers, data }: Publication, reply: string): void {
    const entries = createHeaders()
    for (const [name, value] of headers) entries.append(name, value)
    if (id !== undefined) entries.set('Nats-Msg-Id', id)
    this.#nc.publish(subject, data, { reply, headers: entries })
  }
}
