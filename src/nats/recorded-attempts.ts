import { JetStreamApiError, type JetStreamManager, type StoredMsg } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { type AttemptRecord, readAttemptRecord } from '../core/attempt.ts'
import type { HeaderEntry } from '../core/dead-letter.ts'
import { MillraceError } from '../core/errors.ts'
import { isRecord } from '../core/field-checks.ts'
import type { Names } from '../core/names.ts'
import { explainRequest } from './broker-errors.ts'
import { entriesOf, readPages } from './dead-letter-pages.ts'
import { isStreamMissing } from './ensure.ts'

const pageSize = 200
const messageMissing = 10037

/** What is on record of the job at a place of a stream. */
export interface RecordedJob {
  readonly stream: string
  readonly sequence: number
  readonly record: AttemptRecord
}

/** A job in its stream, without its payload. */
export interface QueuedJob {
  readonly subject: string
  readonly headers: readonly HeaderEntry[]
}

/** The bucket of attempts as an operator sees it: reads it, and the jobs that its records are about. */
export class RecordedAttempts {
  readonly #nc: NatsConnection
  readonly #jsm: JetStreamManager
  readonly #names: Names
  /** When each stream of jobs was made; a record that names another instant is about a job that is gone. */
  readonly #createdAt = new Map<string, Promise<string | undefined>>()

  constructor(nc: NatsConnection, jsm: JetStreamManager, names: Names) {
    this.#nc = nc
    this.#jsm = jsm
    this.#names = names
  }

  /**
   * Pages of the records that there are now, those that were written first before the others. Records of streams
   * that were made anew since are left out.
   *
   * @throws {MillraceError} `topology_missing` when there is no such bucket, `broker_unreachable` when the broker
   *   does not answer within `patienceMs`, `not_permitted` or `broker_request_failed`.
   */
  async *pages(patienceMs: number): AsyncGenerator<RecordedJob[], void, undefined> {
    const stream = `KV_${this.#names.attemptsBucket}`
    const prefix = `$KV.${this.#names.attemptsBucket}.`
    try {
      const { state } = await this.#jsm.streams.info(stream)
      if (state.messages === 0) return
      const query = {
        stream,
        // Keys of three tokens are replays that were claimed.
        subject: `${prefix}*.*`,
        from: state.first_seq,
        upTo: state.last_seq,
        payloads: true,
        pageSize,
        patienceMs,
      }
      for await (const page of readPages(this.#nc, this.#jsm, query)) {
        const found: RecordedJob[] = []
        for (const { subject, headers, data } of page) {
          if (headers.some(([name]) => name === 'KV-Operation')) continue
          const [of = '', sequence = ''] = subject.slice(prefix.length).split('.')
          const stored = parseObject(data)
          if (!stored || !/^\d{1,15}$/.test(sequence)) continue
          if (stored['stream'] !== (await this.#made(of))) continue
          found.push({ stream: of, sequence: Number(sequence), record: readAttemptRecord(stored) })
        }
        yield found
      }
    } catch (error) {
      throw this.#explain(error, patienceMs)
    }
  }

  /** The job at that place; undefined when it is settled. Throws as `pages` does. */
  async job(stream: string, sequence: number, patienceMs: number): Promise<QueuedJob | undefined> {
    let stored: StoredMsg | null
    try {
      stored = await this.#jsm.streams.getMessage(stream, { seq: sequence })
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === messageMissing) return undefined
      throw this.#explain(error, patienceMs)
    }
    return stored ? { subject: stored.subject, headers: entriesOf(stored.header) } : undefined
  }

  #made(stream: string): Promise<string | undefined> {
    let made = this.#createdAt.get(stream)
    if (!made) {
      made = this.#jsm.streams.info(stream).then(
        ({ created }) => String(created),
        (error: unknown) => {
          if (isStreamMissing(error)) return undefined
          throw error
        },
      )
      this.#createdAt.set(stream, made)
    }
    return made
  }

  #explain(error: unknown, patienceMs: number): MillraceError {
    if (!isStreamMissing(error)) return explainRequest(error, patienceMs)
    return new MillraceError(
      'topology_missing',
      `there is no bucket ${this.#names.attemptsBucket}; a supervisor of this namespace creates it when it starts with MILLRACE_MANAGE=true: start one, or check MILLRACE_NAMESPACE`,
      { cause: error },
    )
  }
}

/** What is no JSON object is no record. */
function parseObject(data: Uint8Array): Record<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(new TextDecoder().decode(data))
    return isRecord(parsed) ? parsed : undefined
  } catch {
    return undefined
  }
}
