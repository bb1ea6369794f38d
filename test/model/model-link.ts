import type { JetStreamClient } from '@nats-io/jetstream'
import type { MsgHdrs, NatsConnection } from '@nats-io/transport-node'
import { type AttemptRecord, noRecord, withRelease } from '#src/core/attempt.js'
import type { DeadLetter, HeaderEntry } from '#src/core/dead-letter.js'
import type { HistoryEntry } from '#src/core/history.js'
import { type Names, namesFor, type Priority } from '#src/core/names.js'
import type { Broker, BrokerListener, Outstanding } from '#src/engine/broker-port.js'
import { AckWriter } from '#src/nats/ack-writer.js'
import { DeadLetterStream } from '#src/nats/dead-letter-stream.js'
import { Incarnations } from '#src/nats/incarnations.js'
import type { MemoryBroker, MemoryDelivery } from '../support/memory-broker.ts'
import type { Timers } from './model-clock.ts'

export const names: Names = namesFor('jobs')
/** As `src/nats` waits for answers. */
const recordMs = 2_000
const publishMs = 5_000
const releaseTries = 3
/** What tells whose a dead letter is. */
const lookedAt = ['Millrace-Enqueued-At', 'Millrace-Job-Id']

/** Something on its way between a process and the broker. */
export interface Wire {
  /** Rises with each, over all links. */
  readonly id: number
  readonly label: string
  /** Undefined for what is about none, or not about a certain one. */
  readonly sequence: number | undefined
  /** Of a delivery. */
  readonly reply?: string
  readonly kind:
    | 'settle'
    | 'record'
    | 'read'
    | 'letter'
    | 'forget'
    | 'barrier'
    | 'answer'
    | 'record answer'
    | 'delivery'
  readonly arrive: () => void
}

/** What the model has to know of what happens at the broker. */
export interface LinkWatcher {
  nextId(): number
  /** A process answers a delivery: from now on that is on its way. */
  answering(sequence: number, reply: string, answer: string): void
  /** Such an answer is about to take effect. */
  answered(sequence: number, reply: string, answer: string): void
  /** A record is about to be stored. */
  recordStored(sequence: number, record: AttemptRecord): void
  /** A change of the record of a job has failed, as far as the process can tell. */
  recordFailed(sequence: number): void
  /** The record of an arrived job could not be read. */
  recordUnread(sequence: number): void
  letterStored(letter: StoredLetter, duplicate: boolean): void
}

/** What a dead letter's headers say. */
export interface StoredLetter {
  readonly sequence: number
  readonly reason: string
  readonly attempts: number
  readonly history: readonly HistoryEntry[]
}

/**
 * One process's connection to the memory broker: what is sent waits here, in order, until the explorer lets it arrive
 * or loses it. Settlements and dead letters are written by the code of `src/nats` that does so in production.
 */
export class ModelLink implements Broker {
  connected = true
  epoch = 1
  readonly outgoing: Wire[] = []
  readonly incoming: Wire[] = []
  /** Pulled and not yet brought. */
  credit = 0
  /** Until then, on the model's clock, nothing of the link moves; infinite when something else ends it. */
  heldUntil = Number.NEGATIVE_INFINITY
  listener: BrokerListener | undefined
  readonly #name: string
  readonly #broker: MemoryBroker
  readonly #clock: Timers
  readonly #watcher: LinkWatcher
  readonly #acks: AckWriter
  readonly #deadLetters: DeadLetterStream
  readonly #barriers = new Set<(error: Error) => void>()
  readonly #counts = new Map<string, number>()
  /** The records that there were when the connection was made. */
  #known: ReadonlySet<string>

  constructor(name: string, broker: MemoryBroker, clock: Timers, watcher: LinkWatcher) {
    this.#name = name
    this.#broker = broker
    this.#clock = clock
    this.#watcher = watcher
    this.#known = new Set(broker.attempts.keys)
    const connection = this.#connection()
    this.#acks = new AckWriter(connection)
    const largestBytes = (): number => 2 ** 20
    this.#deadLetters = new DeadLetterStream(
      connection,
      this.#jetstream(),
      names,
      new Incarnations(),
      largestBytes,
    )
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
    this.#push(
      this.incoming,
      'delivery',
      `delivery ${deliveries} of job ${sequence}`,
      sequence,
      arrive,
      reply,
    )
  }

  /** The connection breaks, with all that is on it. */
  drop(): void {
    if (!this.connected) return
    this.connected = false
    this.outgoing.length = 0
    this.incoming.length = 0
    this.credit = 0
    this.listener?.disconnected()
    const barriers = [...this.#barriers]
    this.#barriers.clear()
    for (const reject of barriers) reject(new Error('the connection is gone'))
  }

  /** A new connection, on which nothing was sent yet. */
  restore(): void {
    this.connected = true
    this.epoch += 1
    this.#known = new Set(this.#broker.attempts.keys)
    this.listener?.reconnected()
  }

  /** The process is gone: whatever it still does reaches nobody. */
  end(): void {
    this.connected = false
    this.outgoing.length = 0
    this.incoming.length = 0
    this.credit = 0
    this.listener = undefined
  }

  pull(_handler: string, _priority: Priority, count: number): void {
    if (this.connected) this.credit += count
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
    return new Promise((resolve, reject) => {
      if (!this.connected) return reject(new Error('not connected'))
      this.#barriers.add(reject)
      const answer = (): void => {
        if (this.#barriers.delete(reject)) resolve()
      }
      this.#push(this.outgoing, 'barrier', 'barrier', undefined, () =>
        this.#push(this.incoming, 'barrier', 'answer to the barrier', undefined, answer),
      )
    })
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
    await this.#request(
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
  async releaseRecord(stream: string, sequence: number): Promise<void> {
    // It vanishes, and the process learns that only later.
    if (!this.connected) this.#watcher.recordFailed(sequence)
    const key = `${stream}.${sequence}`
    for (let triesLeft = releaseTries; ; triesLeft -= 1) {
      const stored = await this.#read('record', key, sequence)
      const record = withRelease(stored?.record ?? noRecord)
      try {
        await this.#request(
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

  /** As `JetStreamBroker` does it. */
  forgetRecord(stream: string, sequence: number): void {
    this.#acks.flush()
    this.#send('forget', `removal of the record of job ${sequence}`, sequence, () =>
      this.#broker.attempts.purge(`${stream}.${sequence}`),
    )
  }

  isStored(_stream: string, sequence: number): Promise<boolean> {
    return this.#request('record', `look for job ${sequence}`, sequence, publishMs, () =>
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
    const entry = await this.#request(kind, `read of the record of job ${sequence}`, sequence, recordMs, () =>
      this.#broker.attempts.get(key),
    )
    return entry && { record: JSON.parse(entry.value) as AttemptRecord, revision: entry.revision }
  }

  /** Resolves with what the broker answers; rejects when it refuses, or when nothing has come in time. */
  #request<T>(
    kind: 'record' | 'read' | 'letter',
    label: string,
    sequence: number | undefined,
    limitMs: number,
    atBroker: () => T,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const cancel = this.#clock.after(limitMs, () => {
        if (kind === 'record' && sequence !== undefined) this.#watcher.recordFailed(sequence)
        reject(new Error(`no answer within ${limitMs} ms`))
      })
      const answer = (text: string, arrive: () => void): void =>
        this.#push(
          this.incoming,
          kind === 'record' ? 'record answer' : 'answer',
          `${text} to the ${label}`,
          sequence,
          () => {
            cancel()
            arrive()
          },
        )
      this.#send(kind, label, sequence, () => {
        let result: T
        try {
          result = atBroker()
        } catch (error) {
          answer('refusal', () => reject(error as Error))
          return
        }
        answer('answer', () => resolve(result))
      })
    })
  }

  #send(kind: Wire['kind'], label: string, sequence: number | undefined, arrive: () => void): void {
    // What is sent while there is no connection vanishes.
    if (this.connected) this.#push(this.outgoing, kind, label, sequence, arrive)
  }

  #push(
    queue: Wire[],
    kind: Wire['kind'],
    what: string,
    sequence: number | undefined,
    arrive: () => void,
    reply?: string,
  ): void {
    const count = (this.#counts.get(what) ?? 0) + 1
    this.#counts.set(what, count)
    const label = `${this.#name}: ${what}${count > 1 ? ` (${count})` : ''}`
    const id = this.#watcher.nextId()
    queue.push({ id, label, sequence, kind, arrive, ...(reply === undefined ? {} : { reply }) })
  }

  /** What `AckWriter` and `DeadLetterStream` need of a connection. */
  #connection(): NatsConnection {
    const publish = (reply: string, body: string | Uint8Array): void => {
      const answer = typeof body === 'string' ? body : Buffer.from(body).toString()
      const [, , , , deliveries, sequence] = reply.split('.')
      const label = `${answer} of delivery ${deliveries} of job ${sequence}`
      if (this.connected) this.#watcher.answering(Number(sequence), reply, answer)
      this.#send('settle', label, Number(sequence), () => {
        this.#watcher.answered(Number(sequence), reply, answer)
        this.#broker.settle(reply, answer)
      })
    }
    const request = async (_subject: string, query: string) => {
      const { seq } = JSON.parse(query) as { seq: number }
      const record = await this.#request('letter', `look at dead letter ${seq}`, undefined, recordMs, () =>
        this.#broker.dead.find(seq),
      )
      const lines = lookedAt.map((name) => `${name}: ${record?.header(name)}\r\n`)
      const hdrs = Buffer.from(`NATS/1.0\r\n${lines.join('')}\r\n`).toString('base64')
      return { json: () => ({ message: record && { hdrs, time: '' } }) }
    }
    return { publish, request, isClosed: () => false } as unknown as NatsConnection
  }

  /** What `DeadLetterStream` needs of a JetStream client. */
  #jetstream(): JetStreamClient {
    const publish = async (
      subject: string,
      _data: Uint8Array,
      { msgID, headers }: { msgID: string; headers: MsgHdrs },
    ) => {
      const sequence = Number(headers.get('Millrace-Sequence'))
      const stored = await this.#request(
        'letter',
        `dead letter of job ${sequence}`,
        sequence,
        publishMs,
        () => {
          const answer = this.#broker.dead.publish(msgID, subject, (name) => headers.get(name))
          this.#watcher.letterStored(letterOf(headers), answer.duplicate)
          return answer
        },
      )
      return { stream: names.deadStream, seq: stored.sequence, duplicate: stored.duplicate }
    }
    return { publish } as unknown as JetStreamClient
  }
}

function says({ released, failures, dead }: AttemptRecord): string {
  return `${dead ? `"dead, ${dead.reason}"` : `"released ${released}, failed ${failures}"`}`
}

function letterOf(headers: MsgHdrs): StoredLetter {
  return {
    sequence: Number(headers.get('Millrace-Sequence')),
    reason: headers.get('Millrace-Dead-Reason'),
    attempts: Number(headers.get('Millrace-Attempts')),
    history: JSON.parse(headers.get('Millrace-History')) as HistoryEntry[],
  }
}
