import { type JetStreamManager, jetstream } from '@nats-io/jetstream'
import { createInbox } from '@nats-io/transport-node'
import type { Settings } from '../config/settings.ts'
import { consumerName, type Names, priorities } from '../core/names.ts'
import type { BrokerListener } from '../engine/broker-port.ts'
import { AckProbes } from './ack-probes.ts'
import { AckWriter } from './ack-writer.ts'
import { AttemptsBucket } from './attempts-bucket.ts'
import type { BrokerConnection } from './connection.ts'
import { ConsumerPauses } from './consumer-pauses.ts'
import { ControlBucket } from './control-bucket.ts'
import { DeadLetterStream } from './dead-letter-stream.ts'
import { DelayedStream } from './delayed-stream.ts'
import type { TopologyReport } from './ensure.ts'
import { Incarnations } from './incarnations.ts'
import { IsolationWatch } from './isolation-watch.ts'
import { KnownRecords } from './known-records.ts'
import { PrioritySources } from './priority-sources.ts'
import { Puller, type PullTrouble } from './puller.ts'
import { ResultsBucket } from './results-bucket.ts'
import { TickStream } from './tick-stream.ts'
import { TopologyKeeper } from './topology-keeper.ts'

/** What the broker tells the supervisor, besides what it tells the engine. */
export interface BrokerReports {
  topology(report: TopologyReport): void
  topologyFailed(error: unknown): void
  /** The server could not be told that a handler is paused, or not any more. */
  pauseFailed(handler: string, error: unknown): void
}

/** What the broker is made for and of. */
export interface BrokerOptions {
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

/** What the parts ask of the broker as a whole, and tell it. */
interface PartHooks {
  connected(): boolean
  /** The job stream was seen on a new connection. */
  verified(): void
  /** Something was created or brought up to date. */
  changed(report: TopologyReport): void
  pullTrouble(trouble: PullTrouble): void
  /** The control bucket cannot be watched. */
  watchTrouble(error: unknown): void
}

/**
 * Makes every part that speaks with JetStream and tells each which others it knows: one for each stream and bucket,
 * the pulls, the acks, and those that look after the topology.
 */
export class JetStreamParts {
  readonly acks: AckWriter
  readonly probes: AckProbes
  readonly puller: Puller
  readonly sources: PrioritySources
  readonly records: AttemptsBucket
  readonly known: KnownRecords
  readonly deadLetters: DeadLetterStream
  readonly delayed: DelayedStream
  readonly results: ResultsBucket
  readonly control: ControlBucket
  readonly consumerPauses: ConsumerPauses
  readonly ticks: TickStream
  readonly topology: TopologyKeeper
  readonly isolation: IsolationWatch
  /** Of the streams of jobs that were last seen, even when they are gone. */
  readonly incarnations = new Incarnations()

  /** @param hasty - gives up on an answer sooner. */
  constructor(options: BrokerOptions, jsm: JetStreamManager, hasty: JetStreamManager, hooks: PartHooks) {
    const { connection, names, handlers, settings, listener, reports } = options
    const { nc } = connection
    this.records = new AttemptsBucket(nc, names, this.incarnations)
    this.known = new KnownRecords(hasty, names.attemptsBucket)
    this.control = new ControlBucket({
      nc,
      jsm,
      inboxPrefix: connection.inboxPrefix,
      bucket: names.controlBucket,
      trouble: (error) => hooks.watchTrouble(error),
    })
    this.consumerPauses = new ConsumerPauses(
      jsm,
      priorities.map(names.streamOf),
      settings.manage,
      (handler, error) => reports.pauseFailed(handler, error),
    )
    const js = jetstream(nc)
    const newInbox = (): string => createInbox(connection.inboxPrefix)
    const pullAgain = (): void => {
      for (const handler of handlers) listener.creditReturned(handler, 'normal', 0)
    }
    this.probes = new AckProbes(nc, newInbox, pullAgain)
    this.acks = new AckWriter(nc, () => connection.version, this.probes)
    this.ticks = new TickStream(nc, js, jsm, names, {
      isConnected: () => hooks.connected(),
      failed: () => this.topology.look(),
      hasFinished: (...job) => listener.hasFinished(...job),
    })
    this.deadLetters = new DeadLetterStream(
      nc,
      js,
      names,
      this.incarnations,
      () => nc.info?.max_payload ?? 1024 * 1024,
    )
    this.delayed = new DelayedStream({
      nc,
      js,
      names,
      newInbox,
      trouble: () => this.topology.lookSlowly(),
    })
    this.results = new ResultsBucket(nc, jsm, names)
    this.puller = new Puller({
      nc,
      names,
      handlers,
      listener,
      newInbox,
      trouble: (trouble) => hooks.pullTrouble(trouble),
    })
    this.sources = new PrioritySources({
      nc,
      jsm,
      names,
      handlers,
      onNoticed: (handler, priority) => void this.topology.bind(handler, priority),
    })
    this.topology = new TopologyKeeper(
      { ...options, nc, jsm, noticed: this.sources.noticed },
      hasty,
      connection,
      this.incarnations,
      {
        verified: () => hooks.verified(),
        streamReplaced: (stream, createdAt) => listener.streamReplaced(stream, createdAt),
        delayedFound: (found) => {
          this.delayed.topology = found
        },
        changed: (report) => hooks.changed(report),
        healed: pullAgain,
        consumerMade: (handler, priority) => {
          this.puller.forsake(handler, priority)
          this.probes.forsake(names.streamOf(priority), consumerName(handler))
        },
        sourceBound: (handler, priority) => listener.sourceBound(handler, priority),
        report: (report) => reports.topology(report),
        failed: (error) => reports.topologyFailed(error),
      },
    )
    this.isolation = new IsolationWatch(connection, hasty, names.jobStream, () => this.topology.look())
  }
}
