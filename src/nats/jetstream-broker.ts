import { type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { createInbox, type NatsConnection } from '@nats-io/transport-node'
import type { Settings } from '../config/settings.ts'
import type { AttemptRecord } from '../core/attempt.ts'
import type { DeadLetter, HeaderEntry } from '../core/dead-letter.ts'
import { type Names, type Priority, priorities } from '../core/names.ts'
import type { DeadLetterPlace } from '../core/replay.ts'
import type { Broker, BrokerListener, JobPlace, Outstanding } from '../engine/broker-port.ts'
import { AckWriter } from './ack-writer.ts'
import { AttemptsBucket } from './attempts-bucket.ts'
import type { BrokerConnection } from './connection.ts'
import { ConsumerPauses } from './consumer-pauses.ts'
import { ControlBucket } from './control-bucket.ts'
import { DeadLetterStream } from './dead-letter-stream.ts'
import { DelayedStream } from './delayed-stream.ts'
import { isStreamMissing, type TopologyReport } from './ensure.ts'
import { Incarnations } from './incarnations.ts'
import { IsolationWatch } from './isolation-watch.ts'
import { KnownRecords } from './known-records.ts'
import { readOutstanding } from './outstanding.ts'
import { PrioritySources } from './priority-sources.ts'
import { Puller, type PullTrouble } from './puller.ts'
import { type QueueDepth, readQueueDepth } from './queue-depth.ts'
import { ResultsBucket } from './results-bucket.ts'
import { TickStream } from './tick-stream.ts'
import { TopologyKeeper } from './topology-keeper.ts'

/** That the control bucket cannot be watched is told at most this often. */
const complaintMs = 30_000

/** How long a look waits for an answer while it is likely that nobody can give one. */
const hastyMs = 1_500

/** What the broker tells the supervisor, besides what it tells the engine. */
export interface BrokerReports {
  topology(report: TopologyReport): void
  topologyFailed(error: unknown): void
  /** The server could not be told that a handler is paused, or not any more. */
  pauseFailed(handler: string, error: unknown): void
}

/** JetStream as the engine's broker: pulls, settlements, dead letters and attempt records. */
export class JetStreamBroker implements Broker {
  readonly control: ControlBucket
  readonly ticks: TickStream
  readonly consumerPauses: ConsumerPauses
  readonly delayed: DelayedStream
  readonly #connection: BrokerConnection
  readonly #nc: NatsConnection
  readonly #jsm: JetStreamManager
  readonly #names: Names
  readonly #handlers: readonly string[]
  readonly #reports: BrokerReports
  readonly #listener: BrokerListener
  readonly #acks: AckWriter
  readonly #puller: Puller
  readonly #sources: PrioritySources
  readonly #records: AttemptsBucket
  readonly #known: KnownRecords
  readonly #deadLetters: DeadLetterStream
  readonly #results: ResultsBucket
  readonly #topology: TopologyKeeper
  readonly #isolation: IsolationWatch
  /** Of the streams of jobs that were last seen, even when they are gone. */
  readonly #incarnations = new Incarnations()
  #complainedAt = Number.NEGATIVE_INFINITY

  private constructor(parts: BrokerParts, jsm: JetStreamManager, hasty: JetStreamManager) {
    this.#connection = parts.connection
    this.#nc = parts.connection.nc
    this.#jsm = jsm
    this.#names = parts.names
    this.#handlers = parts.handlers
    this.#reports = parts.reports
    this.#listener = parts.listener
    this.#acks = new AckWriter(this.#nc)
    this.#records = new AttemptsBucket(this.#nc, jsm, parts.names, this.#incarnations)
    this.#known = new KnownRecords(hasty, parts.names.attemptsBucket)
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
    this.ticks = new TickStream(this.#nc, js, jsm, parts.names, {
      isConnected: () => this.connected,
      failed: () => this.#topology.look(),
      hasFinished: (...job) => parts.listener.hasFinished(...job),
    })
    this.#deadLetters = new DeadLetterStream(
      this.#nc,
      js,
      parts.names,
      this.#incarnations,
      () => this.#nc.info?.max_payload ?? 1024 * 1024,
    )
    this.delayed = new DelayedStream({
      nc: this.#nc,
      js,
      names: parts.names,
      newInbox,
      trouble: () => this.#topology.lookSlowly(),
    })
    this.#results = new ResultsBucket(this.#nc, jsm, parts.names)
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
      onNoticed: (handler, priority) => void this.#topology.bind(handler, priority),
    })
    this.#topology = new TopologyKeeper(
      { ...parts, nc: this.#nc, jsm, noticed: this.#sources.noticed },
      hasty,
      parts.connection,
      this.#incarnations,
      {
        verified: () => this.#resume(),
        streamReplaced: (stream, createdAt) => parts.listener.streamReplaced(stream, createdAt),
        delayedFound: (found) => {
          this.delayed.topology = found
        },
        changed: (report) => this.#changed(report),
        healed: () => {
          for (const handler of parts.handlers) parts.listener.creditReturned(handler, 'normal', 0)
        },
        consumerMade: (handler, priority) => this.#puller.forsake(handler, priority),
        sourceBound: (handler, priority) => parts.listener.sourceBound(handler, priority),
        report: (report) => parts.reports.topology(report),
        failed: (error) => parts.reports.topologyFailed(error),
      },
    )
    this.#isolation = new IsolationWatch(parts.connection, hasty, parts.names.jobStream, () =>
      this.#topology.look(),
    )
  }

  /**
   * Makes sure that streams, consumers and buckets are there.
   *
   * @throws {MillraceError} `jetstream_disabled`, `not_permitted`, `topology_conflict` or
   * `broker_request_failed`.
   */
  static async open(parts: BrokerParts): Promise<JetStreamBroker> {
    const { nc } = parts.connection
    const jsm = await jetstreamManager(nc, { checkAPI: false })
    const hasty = await jetstreamManager(nc, { checkAPI: false, timeout: hastyMs })
    const broker = new JetStreamBroker(parts, jsm, hasty)
    await broker.#topology.begin()
    await broker.#known.look()
    broker.#isolation.start()
    broker.#puller.open()
    broker.delayed.open()
    return broker
  }

  /** What is missing although it is needed; empty when all is well. */
  get missing(): readonly string[] {
    return this.#topology.missing
  }

  get connected(): boolean {
    const { isVerified, jobStreamThere } = this.#topology
    return this.#connection.connected && isVerified && jobStreamThere
  }

  get epoch(): number {
    return this.#connection.epoch
  }

  /** To be called by whoever hears of the connection's loss. */
  disconnected(): void {
    this.#topology.disconnected()
    this.#puller.close()
    this.delayed.close()
    this.#listener.disconnected()
  }

  /**
   * To be called when the connection is there again. Nothing is said before the job stream was seen: a
   * broker that lost its store may have another one by now, in which an old ack would hit a new job.
   */
  reconnected(): void {
    this.#topology.reconnected()
  }

  #resume(): void {
    void this.#known.look()
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
    if (this.#topology.isVerified) this.#acks.add(reply)
  }

  nak(reply: string, delayMs: number): void {
    this.#send(() => this.#acks.nak(reply, delayMs))
  }

  extend(reply: string): void {
    this.#send(() => this.#acks.extend(reply))
  }

  async barrier(): Promise<void> {
    this.#acks.flush()
    await this.#nc.flush()
  }

  publishDeadLetter(letter: DeadLetter, headers: readonly HeaderEntry[], data: Uint8Array): Promise<void> {
    return this.#deadLetters.publish(letter, headers, data).catch((error: unknown) => {
      this.#topology.look()
      throw error
    })
  }

  mayHaveRecord(stream: string, sequence: number): boolean {
    return this.#known.mayHave(stream, sequence)
  }

  readRecord(stream: string, sequence: number): Promise<AttemptRecord | undefined> {
    return this.#records.read(stream, sequence)
  }

  writeRecord(stream: string, sequence: number, record: AttemptRecord): Promise<void> {
    return this.#records.write(stream, sequence, record).catch((error: unknown) => {
      this.#topology.look()
      throw error
    })
  }

  releaseRecord(stream: string, sequence: number): Promise<void> {
    return this.#records.release(stream, sequence)
  }

  forgetRecord(stream: string, sequence: number): void {
    // A connection that breaks in between must not take the ack and leave the removal.
    this.#acks.flush()
    this.#records.forget(stream, sequence)
  }

  /** Asks the leader of the stream: a follower may not know yet what is there, or what is gone. */
  async isStored(stream: string, sequence: number): Promise<boolean> {
    return (await this.#jsm.streams.getMessage(stream, { seq: sequence })) !== null
  }

  claimReplay(letter: DeadLetterPlace, job: JobPlace): Promise<boolean> {
    return this.#records.claimReplay(letter, job).catch((error: unknown) => {
      this.#topology.look()
      throw error
    })
  }

  storeOutcome(jobId: string, entry: string): Promise<void> {
    return this.#results.store(jobId, entry).catch((error: unknown) => {
      this.#topology.look()
      throw error
    })
  }

  readOutstanding(handler: string): Promise<Outstanding> {
    return readOutstanding(this.#jsm, this.#names, this.#puller, handler)
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
    this.#isolation.stop()
    this.#topology.close()
    this.control.close()
    this.#sources.close()
    this.consumerPauses.close()
    this.#puller.close()
    this.delayed.close()
  }

  // The client throws when it is closed; by then nothing can be sent, and the engine is told elsewhere.
  #send(publish: () => void): void {
    if (!this.#topology.isVerified || this.#nc.isClosed()) return
    try {
      publish()
    } catch (error) {
      this.#reports.topologyFailed(error)
    }
  }

  #trouble(trouble: PullTrouble): void {
    if (trouble !== 'refused' || this.#nc.isClosed()) this.#topology.look()
    else this.#topology.lookSlowly()
  }

  /** A watch of the control bucket cannot begin; it tries again by itself. */
  #watchTrouble(error: unknown): void {
    this.#topology.look()
    if (isStreamMissing(error)) return
    if (this.connected && performance.now() - this.#complainedAt >= complaintMs) {
      this.#complainedAt = performance.now()
      this.#reports.topologyFailed(error)
    }
  }

  #changed({ changed }: TopologyReport): void {
    this.consumerPauses.repeat()
    if (!changed.some((change) => change.includes('bucket'))) return
    this.#records.reset()
    this.control.reset()
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
