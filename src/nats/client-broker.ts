import {
  JetStreamApiError,
  type JetStreamManager,
  jetstreamManager,
  type StoredMsg,
} from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { MillraceError } from '../core/errors.ts'
import type { JobOutcome } from '../core/job-outcome.ts'
import type { Names } from '../core/names.ts'
import { explainRequest } from './broker-errors.ts'
import { ClientPublisher, type PublicationOwner } from './client-publisher.ts'
import { DeadLetterStore } from './dead-letter-store.ts'
import { isStreamMissing } from './ensure.ts'
import type { Publication } from './publication.ts'
import type { Stored } from './publish-answer.ts'
import { askSupervisors, type Listening } from './questions.ts'
import { type QueueDepth, readQueueDepth } from './queue-depth.ts'
import { RecordedAttempts } from './recorded-attempts.ts'
import { ResultsBucket } from './results-bucket.ts'
import { subscriber } from './subscriber.ts'

export type { NatsConnection, QueueDepth }

const requestMs = 2_000
const messageMissing = 10037

/** The newest message on a subject, as text. */
export interface StoredText {
  readonly subject: string
  readonly text: string
}

/** An entry of the control bucket. */
export interface ControlEntry {
  readonly key: string
  readonly value: string
}

/** What a client needs of a broker, which may be another than JetStream. */
export type ClientPort = Pick<ClientBroker, keyof ClientBroker>

/** JetStream as an application sees it: it stores, asks and listens, and pulls nothing. */
export class ClientBroker {
  readonly #nc: NatsConnection
  readonly #jsm: JetStreamManager
  readonly #names: Names
  readonly #publisher: ClientPublisher
  readonly #results: ResultsBucket
  #deadLetters: DeadLetterStore | undefined
  #attempts: RecordedAttempts | undefined

  private constructor(nc: NatsConnection, jsm: JetStreamManager, names: Names) {
    this.#nc = nc
    this.#jsm = jsm
    this.#names = names
    this.#publisher = new ClientPublisher(nc, jsm)
    this.#results = new ResultsBucket(nc, jsm, names)
  }

  static async open(nc: NatsConnection, names: Names): Promise<ClientBroker> {
    return new ClientBroker(nc, await jetstreamManager(nc, { checkAPI: false, timeout: requestMs }), names)
  }

  /** The stream of dead letters, for operators. */
  get deadLetters(): DeadLetterStore {
    this.#deadLetters ??= new DeadLetterStore(this.#nc, this.#jsm, this.#names)
    return this.#deadLetters
  }

  /** The bucket of attempts, for operators. */
  get attempts(): RecordedAttempts {
    this.#attempts ??= new RecordedAttempts(this.#nc, this.#jsm, this.#names)
    return this.#attempts
  }

  /** Resolves when the server has stored it; rejects with a `MillraceError`. */
  publish(publication: Publication, timeoutMs: number): Promise<Stored> {
    return this.#publisher.publish(publication, timeoutMs)
  }

  /** The same for one of many, whose owner is told; see `ClientPublisher.send`. */
  send(publication: Publication, timeoutMs: number, owner: PublicationOwner, tag: number): number {
    return this.#publisher.send(publication, timeoutMs, owner, tag)
  }

  /** Listens for no more answers once those under way have come; the connection stays as it is. */
  release(): void {
    this.#publisher.release()
  }

  /** Puts an entry of the control bucket, or with `undefined` removes it. */
  async setControl(key: string, value: string | undefined, timeoutMs: number): Promise<void> {
    const bucket = this.#names.controlBucket
    await this.#publisher.publish(
      {
        subject: `$KV.${bucket}.${key}`,
        stream: `KV_${bucket}`,
        headers: value === undefined ? [['KV-Operation', 'DEL']] : [],
        data: value ?? '',
      },
      timeoutMs,
    )
  }

  /**
   * The entries of the control bucket whose keys begin with `<prefix>.`, by key; none when there is no bucket.
   *
   * @throws {MillraceError} when the broker does not say.
   */
  async control(prefix: string): Promise<ControlEntry[]> {
    const bucket = this.#names.controlBucket
    const begin = `$KV.${bucket}.`
    const stored = await this.#newest(`KV_${bucket}`, `${begin}${prefix}.>`)
    return stored
      .filter(({ header }) => header.get('KV-Operation') === '')
      .map((entry) => ({ key: entry.subject.slice(begin.length), value: entry.string() }))
  }

  /**
   * How much waits where, for every handler that has a consumer; undefined when there is no stream of jobs.
   *
   * @throws {MillraceError} when the broker does not say.
   */
  async depth(): Promise<QueueDepth | undefined> {
    try {
      return await readQueueDepth(this.#nc, this.#jsm, this.#names, 'all')
    } catch (error) {
      if (isStreamMissing(error)) return undefined
      throw explainRequest(error, requestMs)
    }
  }

  /**
   * How a job ended; undefined when that is not known.
   *
   * @throws {MillraceError} when the broker does not say.
   */
  async outcome(jobId: string): Promise<JobOutcome | undefined> {
    this.#requireOpen()
    return this.#results.read(jobId).catch((error: unknown) => {
      throw explainRequest(error, requestMs)
    })
  }

  /** Calls back when the outcome of a job may be there; a hint that can get lost. Returns what ends it. */
  onOutcome(jobId: string, callback: () => void): () => void {
    this.#requireOpen()
    return this.#results.onEntry(jobId, callback)
  }

  /** Tells the events on a subject, which may have wildcards. Returns what ends it. */
  onEvent(subject: string, callback: (subject: string, text: string) => void): () => void {
    this.#requireOpen()
    const subscription = this.#nc.subscribe(subject, {
      callback: subscriber((error, message) => {
        if (!error) callback(message.subject, message.string())
      }),
    })
    return () => subscription.unsubscribe()
  }

  /**
   * The newest message of each subject of a stream that a filter matches; none when there is no such stream.
   *
   * @throws {MillraceError} when the broker does not say.
   */
  async newest(stream: string, filter: string): Promise<StoredText[]> {
    const stored = await this.#newest(stream, filter)
    return stored.map((message) => ({ subject: message.subject, text: message.string() }))
  }

  async #newest(stream: string, filter: string): Promise<StoredMsg[]> {
    try {
      const { state } = await this.#jsm.streams.info(stream, { subjects_filter: filter })
      const found: StoredMsg[] = []
      for (const subject of Object.keys(state.subjects ?? {}).sort()) {
        const stored = await this.#lastOf(stream, subject)
        if (stored) found.push(stored)
      }
      return found
    } catch (error) {
      if (isStreamMissing(error)) return []
      throw explainRequest(error, requestMs)
    }
  }

  /** It may be gone since it was listed. */
  async #lastOf(stream: string, subject: string): Promise<StoredMsg | undefined> {
    try {
      return (await this.#jsm.streams.getMessage(stream, { last_by_subj: subject })) ?? undefined
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === messageMissing) return undefined
      throw error
    }
  }

  /**
   * Asks all supervisors, and gives back what those say that have something to say; see `askSupervisors`.
   *
   * @throws {MillraceError} `not_permitted`, `broker_unreachable`.
   */
  async ask(question: string, text: string, listening: Listening): Promise<string[]> {
    this.#requireOpen()
    return askSupervisors(this.#nc, this.#names, question, text, listening)
  }

  #requireOpen(): void {
    if (this.#nc.isClosed()) throw new MillraceError('client_closed', 'the connection to NATS is closed')
  }
}
