import { setTimeout as wait } from 'node:timers/promises'
import { JetStreamApiError, type JetStreamManager, type StoredMsg } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import type { StoredDeadLetter } from '../core/dead-letter-record.ts'
import { MillraceError } from '../core/errors.ts'
import type { Names } from '../core/names.ts'
import { type DeadLetterPlace, isReplayOf } from '../core/replay.ts'
import { explainBrokerError, explainRequest } from './broker-errors.ts'
import { entriesOf, readPages } from './dead-letter-pages.ts'

/** How the stream is read. */
export interface ReadOptions {
  /** All handlers when it is left out. */
  readonly handler: string | undefined
  readonly payloads: boolean
  readonly pageSize: number
}

const againMs = 200
const streamMissing = 10059
const messageMissing = 10037
/** What the server says when it is asked to delete what is not there, and when it cannot delete what is. */
const deleteFailed = 10057
const sequenceMissing = 10043

/**
 * The stream of dead letters as an operator sees it: reads it, and deletes from it.
 *
 * A dead letter is deleted by its sequence. So that nothing else is ever hit, the stream has to be the one that
 * was there at first: after each reconnect its creation time is compared before anything more is deleted.
 */
export class DeadLetterStore {
  readonly #nc: NatsConnection
  readonly #jsm: JetStreamManager
  readonly #names: Names
  /** When the stream was made that we read from. */
  #createdAt: string | undefined
  /** Whether that is still known. */
  #verified: Promise<void> | undefined

  constructor(nc: NatsConnection, jsm: JetStreamManager, names: Names) {
    this.#nc = nc
    this.#jsm = jsm
    this.#names = names
    void this.#watch()
  }

  /**
   * Pages of what is there now, oldest first; what is stored later is not among them.
   *
   * @throws {MillraceError} `topology_missing` when there is no such stream; `broker_unreachable`, `not_permitted`
   *   or `broker_request_failed` when the broker does not answer within `patienceMs`.
   */
  async *pages(
    options: ReadOptions,
    patienceMs: number,
  ): AsyncGenerator<StoredDeadLetter[], void, undefined> {
    const { handler, payloads, pageSize } = options
    const { deadStream } = this.#names
    const subject = handler === undefined ? this.#names.deadSubjects : this.#names.deadSubject(handler)
    await this.#verify(patienceMs)
    // Asked for the last message of the subject, 2.9 may name one that was deleted, and answer that there is none.
    const { state } = await this.#within(patienceMs, () => this.#jsm.streams.info(deadStream))
    if (state.messages === 0) return
    const query = {
      stream: deadStream,
      subject,
      from: state.first_seq,
      upTo: state.last_seq,
      payloads,
      pageSize,
      patienceMs,
    }
    try {
      yield* readPages(this.#nc, this.#jsm, query)
    } catch (error) {
      throw this.#explain(error, patienceMs)
    }
  }

  /** One dead letter; undefined when there is none at that sequence. Throws as `pages` does. */
  async get(sequence: number, patienceMs: number): Promise<StoredDeadLetter | undefined> {
    await this.#verify(patienceMs)
    const stored = await this.#message(this.#names.deadStream, sequence, patienceMs)
    return stored
      ? {
          stream: this.#names.deadStream,
          sequence: stored.seq,
          storedAt: stored.time.getTime(),
          subject: stored.subject,
          headers: entriesOf(stored.header),
          data: stored.data,
        }
      : undefined
  }

  /** Whether a job at this place of a stream of jobs was published for that dead letter. Throws as `pages` does. */
  async isReplayOf(letter: DeadLetterPlace, stream: string, sequence: number, patienceMs: number) {
    const stored = await this.#message(stream, sequence, patienceMs)
    return stored !== undefined && isReplayOf(letter, entriesOf(stored.header))
  }

  /**
   * Deletes a dead letter; false when it was gone already. A server of 2.9 that is killed soon after may bring it
   * back. Overwriting its bytes would make that worse: such a server then counts it for ever, and nothing but a
   * purge takes it away. Throws as `pages` does, and `topology_conflict` when the stream was made anew meanwhile.
   */
  async remove(sequence: number, patienceMs: number): Promise<boolean> {
    let tries = 0
    return this.#within(patienceMs, async () => {
      tries += 1
      await this.#verify(patienceMs)
      try {
        return await this.#jsm.streams.deleteMessage(this.#names.deadStream, sequence, false)
      } catch (error) {
        if (!(error instanceof JetStreamApiError)) throw error
        if (![messageMissing, sequenceMissing, deleteFailed].includes(error.code)) throw error
        if (await this.#message(this.#names.deadStream, sequence, patienceMs)) throw error
        // After a try without an answer it was most likely us.
        return tries > 1
      }
    })
  }

  #verify(patienceMs: number): Promise<void> {
    this.#verified ??= this.#within(patienceMs, async () => {
      const { created } = await this.#jsm.streams.info(this.#names.deadStream)
      this.#createdAt ??= String(created)
      if (this.#createdAt === String(created)) return
      throw new MillraceError(
        'topology_conflict',
        `the stream ${this.#names.deadStream} was made anew at ${created}, and what is in it now is something else; look, and begin again`,
      )
    })
    this.#verified.catch(() => {
      this.#verified = undefined
    })
    return this.#verified
  }

  async #watch(): Promise<void> {
    for await (const { type } of this.#nc.status()) {
      if (type === 'disconnect' || type === 'reconnect') this.#verified = undefined
    }
  }

  #message(stream: string, sequence: number, patienceMs: number): Promise<StoredMsg | undefined> {
    return this.#within(patienceMs, async () => {
      try {
        return (await this.#jsm.streams.getMessage(stream, { seq: sequence })) ?? undefined
      } catch (error) {
        if (error instanceof JetStreamApiError && error.code === messageMissing) return undefined
        throw error
      }
    })
  }

  /** Tries again while there is no answer; what the server has refused stays refused. */
  async #within<T>(patienceMs: number, request: () => Promise<T>): Promise<T> {
    const giveUpAt = performance.now() + patienceMs
    for (;;) {
      try {
        return await request()
      } catch (error) {
        const isFinal = error instanceof JetStreamApiError || error instanceof MillraceError
        if (isFinal || this.#nc.isClosed() || performance.now() + againMs >= giveUpAt)
          throw this.#explain(error, patienceMs)
        await wait(againMs)
      }
    }
  }

  #explain(error: unknown, patienceMs: number): MillraceError {
    const { deadStream } = this.#names
    if (this.#nc.isClosed())
      return new MillraceError('client_closed', 'the connection to NATS is closed', { cause: error })
    if (error instanceof JetStreamApiError && error.code === streamMissing) {
      return new MillraceError(
        'topology_missing',
        `there is no stream ${deadStream}; a supervisor of this namespace creates it when it starts with MILLRACE_MANAGE=true: start one, or check MILLRACE_NAMESPACE`,
        { cause: error },
      )
    }
    return error instanceof JetStreamApiError ? explainBrokerError(error) : explainRequest(error, patienceMs)
  }
}
