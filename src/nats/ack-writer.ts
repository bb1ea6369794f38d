import type { NatsConnection } from '@nats-io/transport-node'
import { AckOrder, needsAckOrder } from './ack-order.ts'
import type { AckProbes } from './ack-probes.ts'
import type { ServerVersion } from './server-version.ts'

/** The client's own writer, below `publish`. */
interface Protocol {
  sendCommand(command: string): void
}

const nakBytes = Buffer.from('-NAK')
const extendBytes = Buffer.from('+WPI')

/** A hundred years. The server counts nanoseconds in 64 bits, and takes what exceeds them for no delay at all. */
const longestNakMs = 3.15e12

/**
 * Answers deliveries; writes the acks of a moment as one piece.
 *
 * A publish per ack costs the client more than everything that we do for a job: a check, a string, two
 * buffers and their copies each. This builds the same protocol lines as one string, which is encoded once.
 * It uses the client's internal writer, and publishes one by one should a version of the client lack it.
 * Source: NATS client protocol, "PUB".
 */
export class AckWriter {
  readonly #nc: NatsConnection
  readonly #version: () => ServerVersion
  readonly #protocol: Protocol | undefined
  readonly #probes: AckProbes
  readonly #order = new AckOrder((replies) => this.#write(replies))
  #replies: string[] = []

  /** @param version - of the server, which may be another one after a reconnect. */
  constructor(nc: NatsConnection, version: () => ServerVersion, probes: AckProbes) {
    this.#nc = nc
    this.#probes = probes
    this.#version = version
    const { protocol } = nc as unknown as { protocol?: Partial<Protocol> }
    this.#protocol = typeof protocol?.sendCommand === 'function' ? (protocol as Protocol) : undefined
  }

  add(reply: string): void {
    if (needsAckOrder(this.#version())) {
      this.#order.add(reply)
      return
    }
    this.#replies.push(reply)
    if (this.#replies.length === 1) queueMicrotask(() => this.flush())
  }

  /** Gives a delivery back after `delayMs`. */
  nak(reply: string, delayMs: number): void {
    const delayNs = Math.round(Math.min(delayMs, longestNakMs) * 1e6)
    this.#nc.publish(reply, delayNs > 0 ? `-NAK {"delay":${delayNs}}` : nakBytes)
  }

  /** Renews the lease of a delivery. */
  extend(reply: string): void {
    this.#nc.publish(reply, extendBytes)
  }

  /** Writes what was added; to be called before anything that has to come behind it. */
  flush(): void {
    this.#order.flush()
    const replies = this.#replies
    if (replies.length === 0) return
    this.#replies = []
    this.#write(replies)
  }

  /**
   * Forgets what still waits, because the connection is lost: behind the next one may be a server with another store,
   * in which an old ack would hit a new job. Whoever added it has to add it again once the streams were seen.
   */
  drop(): void {
    this.#order.drop()
    this.#replies = []
  }

  #write(replies: string[]): void {
    if (this.#nc.isClosed()) return
    const answerTo = this.#probes.answerTo(replies.at(-1)!)
    if (this.#protocol) {
      const asks = answerTo === undefined ? '' : ` ${answerTo}`
      this.#protocol.sendCommand(`PUB ${replies.join(' 4\r\n+ACK\r\nPUB ')}${asks} 4\r\n+ACK\r\n`)
    } else {
      const last = replies.pop()!
      for (const reply of replies) this.#nc.publish(reply, '+ACK')
      this.#nc.publish(last, '+ACK', answerTo === undefined ? {} : { reply: answerTo })
    }
  }
}
