import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import type { AttemptRecord } from '../core/attempt.ts'
import type { DeadLetter, HeaderEntry } from '../core/dead-letter.ts'
import { consumerName, type Names, type Priority } from '../core/names.ts'
import type { DeadLetterPlace } from '../core/replay.ts'
import type { Broker, BrokerListener, JobPlace, Outstanding, RecordPlace } from '../engine/broker-port.ts'
import type { BrokerConnection } from './connection.ts'
import type { ConsumerPauses } from './consumer-pauses.ts'
import type { ControlBucket } from './control-bucket.ts'
import type { DelayedStream } from './delayed-stream.ts'
import { isStreamMissing, type TopologyReport } from './ensure.ts'
import { type BrokerOptions, type BrokerReports, JetStreamParts } from './jetstream-parts.ts'
import { readOutstanding } from './outstanding.ts'
import type { PullTrouble } from './puller.ts'
import { type QueueDepth, readQueueDepth } from './queue-depth.ts'
import type { TickStream } from './tick-stream.ts'

/** That the control bucket cannot be watched is told at most this often. */
const complaintMs = 30_000

/** How long a look waits for an answer while it is likely that nobody can give one. */
const hastyMs = 1_500

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
  readonly #parts: JetStreamParts
  #complainedAt = Number.NEGATIVE_INFINITY

  private constructor(options: BrokerOptions, jsm: JetStreamManager, hasty: JetStreamManager) {
    this.#connection = options.connection
    this.#nc = options.connection.nc
    this.#jsm = jsm
    this.#names = options.names
    this.#handlers = options.handlers
    this.#reports = options.reports
    this.#listener = options.listener
    this.#parts = new JetStreamParts(options, jsm, hasty, {
      connected: () => this.connected,
      verified: () => this.#resume(),
      changed: (report) => this.#changed(report),
      pullTrouble: (trouble) => this.#trouble(trouble),
      watchTrouble: (error) => this.#watchTrouble(error),
    })
    this.control = this.#parts.control
    this.ticks = this.#parts.ticks
    this.consumerPauses = this.#parts.consumerPauses
    this.delayed = this.#parts.delayed
  }

  /**
   * Makes sure that streams, consumers and buckets are there.
   *
   * @throws {MillraceError} `jetstream_disabled`, `not_permitted`, `topology_conflict` or
   * `broker_request_failed`.
   */
  static async open(options: BrokerOptions): Promise<JetStreamBroker> {
    const { nc } = options.connection
    const jsm = await jetstreamManager(nc, { checkAPI: false })
    const hasty = await jetstreamManager(nc, { checkAPI: false, timeout: hastyMs })
    const broker = new JetStreamBroker(options, jsm, hasty)
    await broker.#parts.topology.begin()
    await Promise.all([broker.#parts.known.look(), broker.#parts.records.look()])
    broker.#parts.isolation.start()
    broker.#parts.puller.open()
    broker.#parts.probes.open()
    broker.delayed.open()
    return broker
  }

  /** What is missing although it is needed; empty when all is well. */
  get missing(): readonly string[] {
    return this.#parts.topology.missing
  }

  get connected(): boolean {
    const { isVerified, jobStreamThere } = this.#parts.topology
    return this.#connection.connected && isVerified && jobStreamThere
  }

  get epoch(): number {
    return this.#connection.epoch
  }

  /** To be called by whoever hears of the connection's loss. */
  disconnected(): void {
    this.#parts.topology.disconnected()
    this.#parts.acks.drop()
    this.#parts.probes.close()
    this.#parts.records.reset()
    this.#parts.puller.close()
    this.delayed.close()
    this.#listener.disconnected()
  }

  /**
   * To be called when the connection is there again. Nothing is said before the job stream was seen: a
   * broker that lost its store may have another one by now, in which an old ack would hit a new job.
   */
  reconnected(): void {
    this.#parts.topology.reconnected()
  }

  #resume(): void {
    void this.#parts.known.look()
    void this.#parts.records.look()
    this.#parts.puller.open()
    this.delayed.open()
    this.control.reset()
    this.#listener.reconnected()
    // A server that was killed may not answer acks of what it has forgotten to have handed out.
    this.#parts.acks.flush()
    this.#parts.probes.open()
    this.#parts.sources.look()
  }

  /** Begins to tell of high and low jobs; whoever listens has to be there. */
  findSources(): void {
    void this.#parts.sources.start()
  }

  pull(handler: string, priority: Priority, count: number): void {
    this.#send(() => this.#parts.puller.pull(handler, priority, count))
  }

  isBehind(handler: string, priority: Priority): boolean {
    const { probes } = this.#parts
    return probes.anyBehind && probes.isBehind(this.#names.streamOf(priority), consumerName(handler))
  }

  ack(reply: string): void {
    if (this.#parts.topology.isVerified) this.#parts.acks.add(reply)
  }

  nak(reply: string, delayMs: number): void {
    this.#send(() => this.#parts.acks.nak(reply, delayMs))
  }

  extend(reply: string): void {
    this.#send(() => this.#parts.acks.extend(reply))
  }

  async barrier(): Promise<void> {
    this.#parts.acks.flush()
    await this.#connection.barrier()
  }

  publishDeadLetter(letter: DeadLetter, headers: readonly HeaderEntry[], data: Uint8Array): Promise<void> {
    return this.#parts.deadLetters.publish(letter, headers, data).catch((error: unknown) => {
      this.#parts.topology.look()
      throw error
    })
  }

  mayHaveRecord(stream: string, sequence: number): boolean {
    return this.#parts.known.mayHave(stream, sequence)
  }

  readRecord(stream: string, sequence: number): Promise<AttemptRecord | undefined> {
    return this.#parts.records.read(stream, sequence)
  }

  writeRecord(stream: string, sequence: number, record: AttemptRecord): Promise<void> {
    return this.#parts.records.write(stream, sequence, record).catch((error: unknown) => {
      this.#parts.topology.look()
      throw error
    })
  }

  releaseRecord(stream: string, sequence: number, deliveries: number): Promise<void> {
    return this.#parts.records.release(stream, sequence, deliveries)
  }

  forgetRecords(places: readonly RecordPlace[]): Promise<void> {
    // A connection that breaks in between must not take the acks and leave the removal.
    this.#parts.acks.flush()
    return this.#parts.records.forget(places)
  }

  /** Asks the leader of the stream: a follower may not know yet what is there, or what is gone. */
  async isStored(stream: string, sequence: number): Promise<boolean> {
    // A suspect begins behind the answer, and may end the process: the acks of those before it must not be held back then.
    this.#parts.acks.flush()
    return (await this.#jsm.streams.getMessage(stream, { seq: sequence })) !== null
  }

  claimReplay(letter: DeadLetterPlace, job: JobPlace): Promise<boolean> {
    return this.#parts.records.claimReplay(letter, job).catch((error: unknown) => {
      this.#parts.topology.look()
      throw error
    })
  }

  storeOutcome(jobId: string, entry: string): Promise<void> {
    return this.#parts.results.store(jobId, entry).catch((error: unknown) => {
      this.#parts.topology.look()
      throw error
    })
  }

  readOutstanding(handler: string): Promise<Outstanding> {
    return readOutstanding(this.#jsm, this.#names, this.#parts.puller, handler)
  }

  /** Tells whoever listens; lost when nobody does. */
  publishEvent(handler: string, event: string, json: string): void {
    this.#send(() => this.#nc.publish(this.#names.eventSubject(handler, event), json))
  }

  readDepth(): Promise<QueueDepth> {
    return readQueueDepth(this.#nc, this.#jsm, this.#names, this.#handlers)
  }

  /** Resolves when no open pull can bring a job any more. */
  async pullsEnded(): Promise<void> {
    await Promise.all([this.#parts.puller.ended(), this.delayed.pullEnded()])
  }

  close(): void {
    this.#parts.isolation.stop()
    this.#parts.topology.close()
    this.control.close()
    this.#parts.sources.close()
    this.consumerPauses.close()
    this.#parts.puller.close()
    this.#parts.probes.close()
    this.delayed.close()
  }

  // The client throws when it is closed; by then nothing can be sent, and the engine is told elsewhere.
  #send(publish: () => void): void {
    if (!this.#parts.topology.isVerified || this.#nc.isClosed()) return
    try {
      publish()
    } catch (error) {
      this.#reports.topologyFailed(error)
    }
  }

  #trouble(trouble: PullTrouble): void {
    this.#listener.countsDoubtful()
    if (trouble !== 'refused' || this.#nc.isClosed()) this.#parts.topology.look()
    else this.#parts.topology.lookSlowly()
  }

  /** A watch of the control bucket cannot begin; it tries again by itself. */
  #watchTrouble(error: unknown): void {
    this.#parts.topology.look()
    if (isStreamMissing(error)) return
    if (this.connected && performance.now() - this.#complainedAt >= complaintMs) {
      this.#complainedAt = performance.now()
      this.#reports.topologyFailed(error)
    }
  }

  #changed({ changed }: TopologyReport): void {
    this.consumerPauses.repeat()
    if (!changed.some((change) => change.includes('bucket'))) return
    this.#parts.records.reset()
    void this.#parts.records.look()
    this.control.reset()
  }
}
