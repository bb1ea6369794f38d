import { type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { createInbox, type NatsConnection } from '@nats-io/transport-node'
import type { Settings } from '../config/settings.ts'
import type { AttemptRecord } from '../core/attempt.ts'
import type { DeadLetter, HeaderEntry } from '../core/dead-letter.ts'
import { consumerName, type Names, type Priority, priorities } from '../core/names.ts'
import type { Broker, BrokerListener, Outstanding } from '../engine/broker-port.ts'
import { AckWriter } from './ack-writer.ts'
import { AttemptsBucket } from './attempts-bucket.ts'
import { explainBrokerError } from './broker-errors.ts'
import type { BrokerConnection } from './connection.ts'
import { ConsumerPauses } from './consumer-pauses.ts'
import { ControlBucket } from './control-bucket.ts'
import { DeadLetterStream } from './dead-letter-stream.ts'
import { DelayedStream } from './delayed-stream.ts'
import { ensureDelayed } from './delayed-topology.ts'
import { Incarnations } from './incarnations.ts'
import { PrioritySources, type RarePriority } from './priority-sources.ts'
import { Puller, type PullTrouble } from './puller.ts'
import { type QueueDepth, readQueueDepth } from './queue-depth.ts'
import { ResultsBucket } from './results-bucket.ts'
import { TickStream } from './tick-stream.ts'
import {
  ensureConsumer,
  ensureTopology,
  isStreamMissing,
  readConsumer,
  type TopologyReport,
} from './topology.ts'

const nakBytes = Buffer.from('-NAK')
const extendBytes = Buffer.from('+WPI')

/** A hundred years. The server counts nanoseconds in 64 bits, and takes what exceeds them for no delay at all. */
const longestNakMs = 3.15e12

/** While something is missing, how often to look again. */
const lookAgainMs = 1_000
/** After a reconnect, how often to try to see the job stream. */
const verifyAgainMs = 100
/** That the control bucket cannot be watched is told at most this often. */
const complaintMs = 30_000
/** Signs of trouble within this are one. */
const troubleMs = 50

/** What the broker tells the supervisor, besides what it tells the engine. */
export interface BrokerReports {
  topology(report: TopologyReport): void
  topologyFailed(error: unknown): void
  /** The server could not be told that a handler is paused, or not any more. */
  pauseFailed(handler: string, error: unknown): void
}

/** JetStream as the engine's broker: pulls, settlements, dead letters and attempt records. */
export class JetStreamBroker implements Broker {
  /** What is missing although it is needed; empty when all is well. */
  missing: readonly string[] = []
  readonly control: ControlBucket
  readonly ticks: TickStream
  readonly consumerPauses: ConsumerPauses
  readonly delayed: DelayedStream
  readonly #connection: BrokerConnection
  readonly #nc: NatsConnection
  readonly #jsm: JetStreamManager
  readonly #names: Names
  readonly #handlers: readonly string[]
  readonly #hasSchedules: boolean
  readonly #settings: Settings
  readonly #reports: BrokerReports
  readonly #listener: BrokerListener
  readonly #acks: AckWriter
  readonly #puller: Puller
  readonly #sources: PrioritySources
  /** Noticed, and not known to have a consumer; by the name that reports call it. */
  readonly #unbound = new Map<string, [handler: string, priority: RarePriority]>()
  readonly #records: AttemptsBucket
  readonly #deadLetters: DeadLetterStream
  readonly #results: ResultsBucket
  readonly #keepsResults: boolean
  /** The job stream has been seen on this connection. */
  #verified = true
  #looking: Promise<void> | undefined
  #lookTimer: NodeJS.Timeout | undefined
  /** Of the streams of jobs that were last seen, even when they are gone. */
  readonly #incarnations = new Incarnations()
  #jobStreamThere = false
  #complainedAt = Number.NEGATIVE_INFINITY
  #closed = false

  private constructor(parts: BrokerParts, jsm: JetStreamManager) {
    this.#connection = parts.connection
    this.#nc = parts.connection.nc
    this.#jsm = jsm
    this.#names = parts.names
    this.#handlers = parts.handlers
    this.#hasSchedules = parts.hasSchedules
    this.#settings = parts.settings
    this.#reports = parts.reports
    this.#listener = parts.listener
    this.#acks = new AckWriter(this.#nc)
    this.#records = new AttemptsBucket(this.#nc, jsm, parts.names, this.#incarnations)
    this.control = new ControlBucket({
      nc: this.#nc,
      jsm,
      inboxPrefix: parts.connection.inboxPrefix,
      bucket: parts.names.controlBucket,
      trouble: (error) => this.#watchTrouble(error),
    })
    this.consumerPauses = new ConsumerPauses(
      jsm,
      priorities.map(parts.names.streamOf),
      parts.settings.manage,
      (handler, error) => parts.reports.pauseFailed(handler, error),
    )
    const js = jetstream(this.#nc)
    const newInbox = (): string => createInbox(parts.connection.inboxPrefix)
    this.ticks = new TickStream(js, jsm, parts.names, {
      isConnected: () => this.connected,
      failed: () => this.#look(),
    })
    this.#deadLetters = new DeadLetterStream(js, jsm, parts.names, this.#incarnations)
    this.delayed = new DelayedStream({
      nc: this.#nc,
      js,
      names: parts.names,
      newInbox,
      trouble: () => this.#lookIn(lookAgainMs),
    })
    this.#results = new ResultsBucket(this.#nc, jsm, parts.names)
    this.#keepsResults = parts.keepsResults
    this.#puller = new Puller({
      nc: this.#nc,
      names: parts.names,
      handlers: parts.handlers,
      listener: parts.listener,
      newInbox,
      trouble: (trouble) => this.#trouble(trouble),
    })
    this.#sources = new PrioritySources({
      nc: this.#nc,
      jsm,
      names: parts.names,
      handlers: parts.handlers,
      onNoticed: (handler, priority) => void this.#bind(handler, priority),
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
    broker.delayed.open()
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
    this.delayed.close()
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
    this.delayed.open()
    this.control.reset()
    this.#listener.reconnected()
    this.#sources.look()
  }

  /** Begins to tell of high and low jobs; whoever listens has to be there. */
  findSources(): void {
    void this.#sources.start()
  }

  pull(handler: string, priority: Priority, count: number): void {
    this.#send(() => this.#puller.pull(handler, priority, count))
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

  readRecord(stream: string, sequence: number): Promise<AttemptRecord | undefined> {
    return this.#records.read(stream, sequence)
  }

  writeRecord(stream: string, sequence: number, record: AttemptRecord): Promise<void> {
    return this.#records.write(stream, sequence, record).catch((error: unknown) => {
      this.#look()
      throw error
    })
  }

  releaseRecord(stream: string, sequence: number): Promise<void> {
    return this.#records.release(stream, sequence)
  }

  forgetRecord(stream: string, sequence: number): void {
    this.#records.forget(stream, sequence)
  }

  storeOutcome(jobId: string, entry: string): Promise<void> {
    return this.#results.store(jobId, entry).catch((error: unknown) => {
      this.#look()
      throw error
    })
  }

  async readOutstanding(handler: string): Promise<Outstanding> {
    let deliveries = 0
    let otherPulls = 0
    for (const priority of priorities) {
      const openBefore = this.#puller.openPulls(handler, priority)
      const consumer = await readConsumer(this.#jsm, this.#names.streamOf(priority), consumerName(handler))
      if (!consumer) continue
      const open = Math.min(openBefore, this.#puller.openPulls(handler, priority))
      deliveries += consumer.num_ack_pending
      otherPulls += Math.max(0, consumer.num_waiting - open)
    }
    return { deliveries, otherPulls }
  }

  /** Tells whoever listens; lost when nobody does. */
  publishEvent(handler: string, event: string, json: string): void {
    this.#send(() => this.#nc.publish(this.#names.eventSubject(handler, event), json))
  }

  readDepth(): Promise<QueueDepth> {
    return readQueueDepth(this.#jsm, this.#names, this.#handlers)
  }

  /** Resolves when no open pull can bring a job any more. */
  async pullsEnded(): Promise<void> {
    await Promise.all([this.#puller.ended(), this.delayed.pullEnded()])
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#lookTimer)
    this.control.close()
    this.#sources.close()
    this.consumerPauses.close()
    this.#puller.close()
    this.delayed.close()
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

  /** A watch of the control bucket cannot begin; it tries again by itself. */
  #watchTrouble(error: unknown): void {
    this.#look()
    if (isStreamMissing(error)) return
    if (this.connected && performance.now() - this.#complainedAt >= complaintMs) {
      this.#complainedAt = performance.now()
      this.#reports.topologyFailed(error)
    }
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
        else if (this.missing.length > 0 || this.#unbound.size > 0) this.#lookIn(lookAgainMs)
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
      this.#hasSchedules,
      this.#settings,
      this.#keepsResults,
      this.#sources.noticed,
      (stream, createdAt) => this.#streamSeen(stream, createdAt),
    )
    const { version } = this.#connection
    this.delayed.topology = await ensureDelayed(this.#jsm, this.#names, this.#settings, version, report)
    const { missing, changed } = report
    if (changed.length > 0 || missing.join() !== this.missing.join() || report.warnings.length > 0) {
      this.#reports.topology(report)
    }
    if (changed.length > 0) this.consumerPauses.repeat()
    const healed = missing.length < this.missing.length
    this.missing = missing
    for (const label of this.#unbound.keys()) if (!missing.includes(label)) this.#bound(label)
    if (changed.some((change) => change.includes('bucket'))) {
      this.#records.reset()
      this.control.reset()
    }
    if (healed || changed.length > 0)
      for (const handler of this.#handlers) this.#listener.creditReturned(handler, 'normal', 0)
  }

  /** The first job of a priority: its consumer is made at once, or looked for until it is there. */
  async #bind(handler: string, priority: RarePriority): Promise<void> {
    const label = `consumer ${this.#names.streamOf(priority)}/${consumerName(handler)}`
    this.#unbound.set(label, [handler, priority])
    const report: TopologyReport = { missing: [], changed: [], warnings: [] }
    try {
      await ensureConsumer(this.#jsm, this.#names, report, handler, this.#settings, priority)
      if (report.missing.length > 0) return this.#look()
      if (report.changed.length + report.warnings.length > 0) this.#reports.topology(report)
      this.#bound(label)
    } catch (error) {
      this.#reports.topologyFailed(error)
      this.#lookIn(lookAgainMs)
    }
  }

  #bound(label: string): void {
    const source = this.#unbound.get(label)
    this.#unbound.delete(label)
    if (source) this.#listener.sourceBound(...source)
  }

  #streamSeen(stream: string, createdAt: string | undefined): void {
    if (stream === this.#names.jobStream) this.#jobStreamThere = createdAt !== undefined
    if (createdAt === undefined || !this.#incarnations.seen(stream, createdAt)) return
    this.#listener.streamReplaced(stream, Date.parse(createdAt))
  }
}

export interface BrokerParts {
  readonly connection: BrokerConnection
  readonly names: Names
  readonly handlers: readonly string[]
  /** Ticks are to be published, so their stream is needed. */
  readonly hasSchedules: boolean
  readonly settings: Settings
  /** Some handler has `result: true`. */
  readonly keepsResults: boolean
  readonly listener: BrokerListener
  readonly reports: BrokerReports
}
