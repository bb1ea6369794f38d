import { JetStreamApiError, type JetStreamClient, type JetStreamManager, jetstream } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { bucketKey, longestKeyedIdBytes } from '../core/control-keys.ts'
import { MillraceError } from '../core/errors.ts'
import { decodeOutcome, type JobOutcome } from '../core/job-outcome.ts'
import type { Names } from '../core/names.ts'
import { subscriber } from './subscriber.ts'

const publishMs = 2_000
/** What an entry holds besides the result itself: ids, an error, the protocol's headers. */
const entryRoomBytes = 16 * 1024

const streamMissing = 10059
const messageMissing = 10037

/** The most bytes of JSON that a result may have: what the setting says, within what the server takes. */
export function largestResultBytes(nc: NatsConnection, resultMaxBytes: number): number {
  return Math.min(resultMaxBytes, Math.max(0, (nc.info?.max_payload ?? 1024 * 1024) - entryRoomBytes))
}

/**
 * How jobs ended, in the bucket `<namespace>_results` under their ids. Entries expire by the bucket's age.
 *
 * Reads and writes go to the bucket's stream directly (ADR-8 of the NATS architecture): a put is a publish,
 * and a get asks the stream's leader, so it sees what was stored a moment ago on every server.
 */
export class ResultsBucket {
  readonly #nc: NatsConnection
  readonly #js: JetStreamClient
  readonly #jsm: JetStreamManager
  readonly #bucket: string

  constructor(nc: NatsConnection, jsm: JetStreamManager, names: Names) {
    this.#nc = nc
    this.#js = jetstream(nc)
    this.#jsm = jsm
    this.#bucket = names.resultsBucket
  }

  /**
   * Resolves when the server has stored the entry in the place of an earlier one.
   *
   * @throws {MillraceError} `invalid_job` when nothing can be kept under such an id; a client cannot ask for it either.
   */
  async store(jobId: string, entry: string): Promise<void> {
    if (Buffer.byteLength(jobId) > longestKeyedIdBytes) {
      throw new MillraceError(
        'invalid_job',
        `results are kept for jobs whose id has at most ${longestKeyedIdBytes} bytes, this one has ${Buffer.byteLength(jobId)}`,
      )
    }
    const { stream } = await this.#js.publish(this.#subject(jobId), entry, { timeout: publishMs })
    if (stream === `KV_${this.#bucket}`) return
    throw new MillraceError(
      'topology_conflict',
      `stream ${stream} takes what is written to the bucket ${this.#bucket}; remove its subject`,
    )
  }

  /** How a job ended; undefined when that is not known here, or there is no such bucket. */
  async read(jobId: string): Promise<JobOutcome | undefined> {
    try {
      const query = { last_by_subj: this.#subject(jobId) }
      const stored = await this.#jsm.streams.getMessage(`KV_${this.#bucket}`, query)
      return stored && stored.header.get('KV-Operation') === '' ? decodeOutcome(stored.string()) : undefined
    } catch (error) {
      if (error instanceof JetStreamApiError && [streamMissing, messageMissing].includes(error.code))
        return undefined
      throw error
    }
  }

  /**
   * Calls back when an entry of this job is on its way into the bucket, which may be a moment before it can be
   * read. A hint that can get lost: what is published while we are disconnected is never told. Returns what
   * ends it.
   */
  onEntry(jobId: string, callback: () => void): () => void {
    const subscription = this.#nc.subscribe(this.#subject(jobId), { callback: subscriber(() => callback()) })
    return () => subscription.unsubscribe()
  }

  #subject(jobId: string): string {
    return `$KV.${this.#bucket}.${bucketKey(jobId)}`
  }
}
