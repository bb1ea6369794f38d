import { type AttemptRecord, noRecord, withRelease } from '#src/core/attempt.js'
import type { DeadLetter, HeaderEntry } from '#src/core/dead-letter.js'
import type { Priority } from '#src/core/names.js'
import type { Broker, BrokerListener, Outstanding, RecordPlace } from '#src/engine/broker-port.js'
import { AckProbes } from '#src/nats/ack-probes.js'
import { AckWriter } from '#src/nats/ack-writer.js'
import { DeadLetterStream } from '#src/nats/dead-letter-stream.js'
import { Incarnations } from '#src/nats/incarnations.js'
import type { MemoryBroker, MemoryDelivery } from '#src/testing/memory-broker.js'
import type { Timers } from './model-clock.ts'
import { modelConnection, modelJetStream, type NatsWatcher, names, publishMs } from './model-nats.ts'
import { type Wire, Wires, type WireWatcher } from './wires.ts'

/** As `src/nats` waits for answers. */
const recordMs = 2_000
const releaseTries = 3

/** What the model has to know of what happens at the broker. */
export interface LinkWatcher extends WireWatcher, NatsWatcher {
  /** A record is about to be stored. */
  recordStored(sequence: number, record: AttemptRecord): void
  /** The record of an arrived job could not be read. */
  recordUnread(sequence: number): void
}

/**
 * One process's connection to the memory broker: what is sent waits here, in order, until the explorer lets it arrive
 * or loses it. Settlements and dead letters are written by the code of `src/nats` that does so in production.
 */
export class ModelLink implements Broker {
  epoch = 1
  /** Pulled and not yet brought. */
  credit = 0
  /** Until then, on the model's clock, nothing of the link moves; infinite when something else ends it. */
  heldUntil = Number.NEGATIVE_INFINITY
  listener: BrokerListener | undefined
  readonly #wires: Wires
  readonly #broker: MemoryBroker
  readonly #watcher: LinkWatcher
  readonly #acks: AckWriter
  readonly #deadLetters: DeadLetterStream
  /** The records that there were when the connection was made. */
  #known: ReadonlySet<string>

  constructor(name: string, broker: MemoryBroker, clock: Timers, watcher: LinkWatcher) {
    this.#wires = new Wires(name, clock, watcher)
    this.#broker = broker
    this.#watcher = watcher
    this.#known = new Set(broker.attempts.keys)
    const connection = modelConnection(this.#wires, broker, watcher)
    // Never opened: this broker notes an ack when it reads it.
    const probes = new AckProbes(connection, String, () => {})
    this.#acks = new AckWriter(connection, () => ({ major: 2, minor: 15, patch: 1 }), probes)
    const largestBytes = (): number => 2 ** 20
    this.#deadLetters = new DeadLetterStream(
      connection,
      modelJetStream(this.#wires, broker, watcher),
      names,
      new Incarnations(),
      largestBytes,
    )
  }

  get connected(): boolean {
    return this.#wires.connected
  }

  get outgoing(): Wire[] {
    return this.#wires.outgoing
  }

  get incoming(): Wire[] {
    return this.#wires.incoming
  }

  /** The broker sends a job. */
  bring(delivery: MemoryDelivery): void {
    this.credit -= 1
    const { handler, sequence, deliveries, storedAt, reply, data, headers } = delivery
    const arrive = (): void =>
      this.listener?.delivered({
        handler,
        priority: 'normal',
        stream: names.jobStream,
        subject: names.jobSubject(handler),
        sequence,
        deliveries,
        pending: 0,
        storedAt,
        reply,
        data,
        headers,
        headerProblem: undefined,
        headersUnread: 0,
      })
    this.#wires.deliver(`delivery ${deliveries} of job ${sequence}`, sequence, reply, arrive)
  }

  /** The connection breaks, with all that is on it. */
  drop(): void {
    if (!this.connected) return
    this.#wires.cut()
    this.credit = 0
    this.listener?.disconnected()
    this.#wires.rejectBarriers()
  }

  /** A new connection, on which nothing was sent yet. */
  restore(): void {
    this.#wires.connected = true
    this.epoch += 1
    this.#known = new Set(this.#broker.attempts.keys)
    this.listener?.reconnected()
  }

  /** The process is gone: whatever it still does reaches nobody. */
  end(): void {
    this.#wires.cut()
    this.credit = 0
    this.listener = undefined
  }

  pull(_handler: string, _priority: Priority, count: number): void {
    if (this.connected) this.credit += count
  }

  isBehind(): boolean {
    return false
  }

  ack(reply: string): void {
    if (this.connected) this.#acks.add(reply)
  }

  nak(reply: string, delayMs: number): void {
    this.#acks.nak(reply, delayMs)
  }

  extend(reply: string): void {
    this.#acks.extend(reply)
  }

  barrier(): Promise<void> {
    this.#acks.flush()
    return this.#wires.barrier()
  }

  async publishDeadLetter(
    letter: DeadLetter,
    headers: readonly HeaderEntry[],
    data: Uint8Array,
  ): Promise<void> {
    await this.#deadLetters.publish(letter, headers, data)
  }

  /** As `KnownRecords` tells it. */
  mayHaveRecord(stream: string, sequence: number): boolean {
    return this.#known.has(`${stream}.${sequence}`)
  }

  async readRecord(stream: string, sequence: number): Promise<AttemptRecord | undefined> {
    try {
      return (await this.#read('read', `${stream}.${sequence}`, sequence))?.record
    } catch (error) {
      this.#watcher.recordUnread(sequence)
      throw error
    }
  }

  async writeRecord(stream: string, sequence: number, record: AttemptRecord): Promise<void> {
    await this.#wires.request(
      'record',
      `${says(record)} to the record of job ${sequence}`,
      sequence,
      recordMs,
      () => {
        this.#watcher.recordStored(sequence, record)
        this.#broker.attempts.put(`${stream}.${sequence}`, JSON.stringify(record))
      },
    )
  }

  /** As `AttemptsBucket.release` does it. */
  async releaseRecord(stream: string, sequence: number, deliveries: number): Promise<void> {
    // It vanishes, and the process learns that only later.
    if (!this.connected) this.#watcher.recordFailed(sequence)
    const key = `${stream}.${sequence}`
    for (let triesLeft = releaseTries; ; triesLeft -= 1) {
      const stored = await this.#read('record', key, sequence)
      const record = withRelease(stored?.record ?? noRecord, deliveries)
      try {
        await this.#wires.request(
          'record',
          `swap of ${says(record)} in the record of job ${sequence}`,
          sequence,
          recordMs,
          () => {
            const revision = this.#broker.attempts.update(key, JSON.stringify(record), stored?.revision ?? 0)
            if (revision === undefined) throw new Error('wrong last sequence')
            this.#watcher.recordStored(sequence, record)
          },
        )
        return
      } catch (error) {
        if (triesLeft === 1) throw error
      }
    }
  }

  /** As `JetStreamBroker` does it by key; by place it leaves what somebody else has written since. */
  async forgetRecords(places: readonly RecordPlace[]): Promise<void> {
    this.#acks.flush()
    for (const { stream, sequence } of places) {
      this.#wires.send('forget', `removal of the record of job ${sequence}`, sequence, () =>
        this.#broker.attempts.purge(`${stream}.${sequence}`),
      )
    }
  }

  isStored(_stream: string, sequence: number): Promise<boolean> {
    return this.#wires.request('record', `look for job ${sequence}`, sequence, publishMs, () =>
      this.#broker.has(sequence),
    )
  }

  /** No job of the model is a replay. */
  async claimReplay(): Promise<boolean> {
    return true
  }

  async storeOutcome(): Promise<void> {}

  async readOutstanding(): Promise<Outstanding> {
    return { deliveries: 0, otherPulls: 0 }
  }

  async #read(
    kind: 'record' | 'read',
    key: string,
    sequence: number,
  ): Promise<{ record: AttemptRecord; revision: number } | undefined> {
    const entry = await this.#wires.request(
      kind,
      `read of the record of job ${sequence}`,
      sequence,
      recordMs,
      () => this.#broker.attempts.get(key),
    )
    return entry && { record: JSON.parse(entry.value) as AttemptRecord, revision: entry.revision }
  }
}

function says({ released, failures, dead }: AttemptRecord): string {
  return `${dead ? `"dead, ${dead.reason}"` : `"released ${released}, failed ${failures}"`}`
}
