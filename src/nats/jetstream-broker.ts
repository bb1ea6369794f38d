import { type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { createInbox, type NatsConnection } from '@nats-io/transport-node'
import type { Settings } from '../config/settings.ts'
import type { AttemptRecord } from '../core/attempt.ts'
import type { DeadLetter, HeaderEntry } from '../core/dead-letter.ts'
import { consumerName, type Names } from '../core/names.ts'
import type { Broker, BrokerListener, Outstanding } from '../engine/ports.ts'
import { AckWriter } from './ack-writer.ts'
import { AttemptsBucket } from './attempts-bucket.ts'
import { explainBrokerError } from './broker-errors.ts'
import type { BrokerConnection } from './connection.ts'
import { ControlBucket } from './control-bucket.ts'
import { DeadLetterStream } from './dead-letter-stream.ts'
import { Puller, type PullTrouble } from './puller.ts'
import { type QueueDepth, readQueueDepth } from './queue-depth.ts'
import { ensureTopology, type TopologyReport } from './topology.ts'

const nakBytes = Buffer.from('-NAK')
const extendBytes = Buffer.from('+WPI')

/** A hundred years. The server counts nanoseconds in 64 bits, and takes what exceeds them for no delay at all. */
const longestNakMs = 3.15e12

/** While something is missing, how often to look again. */
const lookAgainMs = 1_000
/** After a reconnect, how often to try to see the job stream. */
const verifyAgainMs = 100
/** Signs of trouble within this are one. */
const troubleMs = 50

/** What the broker tells the supervisor, besides what it tells the engine. */
export interface BrokerReports {
  topology(report: TopologyReport): void
  topologyFailed(error: unknown): void
}

/** JetStream as the engine's broker: pulls, settlements, dead letters and attempt records. */
export class JetStreamBroker implements Broker {
  /** What is missing although it is needed; empty when all is well. */
  missing: readonly string[] = []
  readonly control: ControlBucket
  readonly #connection: BrokerConnection
  readonly #nc: NatsConnection
  readonly #jsm: JetStreamManager
  readonly #names: Names
  readonly #handlers: readonly string[]
  readonly #settings: Settings
  readonly #reports: BrokerReports
  readonly #listener: BrokerListener
  readonly #acks: AckWriter
  readonly #puller: Puller
  readonly #records: AttemptsBucket
  readonly #deadLetters: DeadLetterStream
  /** The job stream has been seen on this connection. */
  #verified = true
  #looking: Promise<void> | undefined
  #lookTimer: NodeJS.Timeout | undefined
  /** Of the job stream that was last seen, even when it is gone. */
  #jobStreamCreatedAt: string | undefined
  #jobStreamThere = false
  #closed = false

  private constructor(parts: BrokerParts, jsm: JetStreamManager) {
    this.#connection = parts.connection
    this.#nc = parts.connection.nc
    this.#jsm = jsm
    this.#names = parts.names
    this.#handlers = parts.handlers
    this.#settings = parts.settings
    this.#reports = parts.reports
    this.#listener = parts.listener
    this.#acks = new AckWriter(this.#nc)
    this.#records = new AttemptsBucket(this.#nc, jsm, parts.names)
    this.control = new ControlBucket(this.#nc, parts.names.controlBucket)
    this.#deadLetters = new DeadLetterStream(jetstream(this.#nc), jsm, parts.names)
    this.#puller = new Puller({
      nc: this.#nc,
      names: parts.names,
      handlers: parts.handlers,
      listener: parts.listener,
      newInbox: () => createInbox(parts.connection.inboxPrefix),
      trouble: (trouble) => this.#trouble(trouble),
    })
  }

  /**
   * Makes sure that streams, consumers and buckets are there.
   *
   * @throws {MillraceError} `jetstream_disabled`, `not_permitted`, `topology_conflict` or
   * `broker_request_failed`.
   */
  static async open(parts: BrokerParts): Promise<JetStreamBroker> {
    const jsm = await jetstreamManager(parts.connection.nc, { checkAPI: false })
    const broker = new JetStreamBroker(parts, jsm)
    try {
      await broker.#ensure()
    } catch (error) {
      throw explainBrokerError(error)
    }
    broker.#puller.open()
    if (broker.missing.length > 0) broker.#lookIn(lookAgainMs)
    return broker
  }

  get connected(): boolean {
    return this.#connection.connected && this.#verified && this.#jobStreamThere
  }

  get epoch(): number {
    return this.#connection.epoch
  }

  /** To be called by whoever hears of the connection's loss. */
  disconnected(): void {
    this.#verified = false
    this.#puller.close()
    this.#listener.disconnected()
  }

  /**
   * To be called when the connection is there again. Nothing is said before the job stream was seen: a
   * broker that lost its store may have another one by now, in which an old ack would hit a new job.
   */
  reconnected(): void {
    this.#lookIn(0)
  }

  #resume(): void {
    this.#verified = true
    this.#puller.open()
    this.control.reset()
    this.#listener.reconnected()
  }

  pull(handler: string, count: number): void {
    this.#send(() => this.#puller.pull(handler, count))
  }

  ack(reply: string): void {
    if (this.#verified) this.#acks.add(reply)
  }

  nak(reply: string, delayMs: number): void {
    const delayNs = Math.round(Math.min(delayMs, longestNakMs) * 1e6)
    const bytes = delayNs > 0 ? `-NAK {"delay":${delayNs}}` : nakBytes
    this.#send(() => this.#nc.publish(reply, bytes))
  }

  extend(reply: string): void {
    this.#send(() => this.#nc.publish(reply, extendBytes))
  }

  async barrier(): Promise<void> {
    this.#acks.flush()
    await this.#nc.flush()
  }

  publishDeadLetter(letter: DeadLetter, headers: readonly HeaderEntry[], data: Uint8Array): Promise<void> {
    return this.#deadLetters.publish(letter, headers, data).catch((error: unknown) => {
      this.#look()
      throw error
    })
  }

  readRecord(sequence: number): Promise<AttemptRecord | undefined> {
    return this.#records.read(sequence)
  }

  writeRecord(sequence: number, record: AttemptRecord): Promise<void> {
    return this.#records.write(sequence, record).catch((error: unknown) => {
      this.#look()
      throw error
    })
  }

  releaseRecord(sequence: number): Promise<void> {
    return this.#records.release(sequence)
  }

  forgetRecord(sequence: number): void {
    this.#records.forget(sequence)
  }

  async readOutstanding(handler: string): Promise<Outstanding> {
    const openBefore = this.#puller.openPulls(handler)
    const info = await this.#jsm.consumers.info(this.#names.jobStream, consumerName(handler))
    const open = Math.min(openBefore, this.#puller.openPulls(handler))
    return { deliveries: info.num_ack_pending, otherPulls: info.num_waiting - open }
  }

  /** Tells whoever listens; lost when nobody does. */
  publishEvent(handler: string, event: string, json: string): void {
    this.#send(() => this.#nc.publish(this.#names.eventSubject(handler, event), json))
  }

  readDepth(): Promise<QueueDepth> {
    return readQueueDepth(this.#jsm, this.#names, this.#handlers)
  }

  /** Resolves when no open pull can bring a job any more. */
  pullsEnded(): Promise<void> {
    return this.#puller.ended()
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#lookTimer)
    this.control.close()
    this.#puller.close()
  }

  // The client throws when it is closed; by then nothing can be sent, and the engine is told elsewhere.
  #send(publish: () => void): void {
    if (!this.#verified || this.#nc.isClosed()) return
    try {
      publish()
    } catch (error) {
      this.#reports.topologyFailed(error)
    }
  }

  #trouble(trouble: PullTrouble): void {
    if (trouble !== 'refused' || this.#nc.isClosed()) this.#look()
    else this.#lookIn(lookAgainMs)
  }

  #look(): void {
    this.#lookIn(troubleMs)
  }

  #lookIn(delayMs: number): void {
    if (this.#closed || this.#lookTimer || this.#looking) return
    this.#lookTimer = setTimeout(() => {
      this.#lookTimer = undefined
      this.#looking = this.#lookNow().finally(() => {
        this.#looking = undefined
        if (!this.#verified && this.#connection.connected) this.#lookIn(verifyAgainMs)
        else if (this.missing.length > 0) this.#lookIn(lookAgainMs)
      })
    }, delayMs)
  }

  async #lookNow(): Promise<void> {
    if (!this.#connection.connected) return
    const { epoch } = this.#connection
    try {
      await this.#ensure()
      if (!this.#verified && this.#connection.connected && this.#connection.epoch === epoch) this.#resume()
    } catch (error) {
      this.#reports.topologyFailed(error)
      this.missing =
        this.missing.length > 0 ? this.missing : [`an answer: ${explainBrokerError(error).message}`]
    }
  }

  async #ensure(): Promise<void> {
    const report = await ensureTopology(
      this.#nc,
      this.#jsm,
      this.#names,
      this.#handlers,
      this.#settings,
      (createdAt) => this.#jobStreamSeen(createdAt),
    )
    const { missing, changed } = report
    if (changed.length > 0 || missing.join() !== this.missing.join() || report.warnings.length > 0) {
      this.#reports.topology(report)
    }
    const healed = missing.length < this.missing.length
    this.missing = missing
    if (changed.some((change) => change.includes('bucket'))) {
      this.#records.reset()
      this.control.reset()
    }
    if (healed || changed.length > 0)
      for (const handler of this.#handlers) this.#listener.creditReturned(handler, 0)
  }

  /** The stream's identity is its name and when it was made. */
  #jobStreamSeen(createdAt: string | undefined): void {
    this.#jobStreamThere = createdAt !== undefined
    if (createdAt === undefined) return
    const replaced = this.#jobStreamCreatedAt !== undefined && this.#jobStreamCreatedAt !== createdAt
    this.#jobStreamCreatedAt = createdAt
    this.#records.streamCreatedAt = createdAt
    this.#deadLetters.streamCreatedAt = createdAt
    if (replaced) this.#listener.streamReplaced(Date.parse(createdAt))
  }
}

export interface BrokerParts {
  readonly connection: BrokerConnection
  readonly names: Names
  readonly handlers: readonly string[]
  readonly settings: Settings
  readonly listener: BrokerListener
  readonly reports: BrokerReports
}
