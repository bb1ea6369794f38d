import type { JetStreamManager } from '@nats-io/jetstream'
import { type KV, Kvm } from '@nats-io/kv'
import type { NatsConnection } from '@nats-io/transport-node'
import { type AttemptRecord, noRecord } from '../core/attempt.ts'
import type { Names } from '../core/names.ts'

/** A record that is not to be had within this is done without. */
const readMs = 2_000

interface StoredRecord extends AttemptRecord {
  /** Which incarnation of the job stream it belongs to. */
  readonly stream: string
}

/**
 * The records of jobs that were delivered more than once, in the bucket `<namespace>_attempts` under
 * `<stream>.<sequence>`. A record of another incarnation of the stream is none.
 */
export class AttemptsBucket {
  /** When the job stream was made. */
  streamCreatedAt = ''
  readonly #nc: NatsConnection
  readonly #jsm: JetStreamManager
  readonly #names: Names
  #bucket: Promise<KV> | undefined

  constructor(nc: NatsConnection, jsm: JetStreamManager, names: Names) {
    this.#nc = nc
    this.#jsm = jsm
    this.#names = names
  }

  async read(sequence: number): Promise<AttemptRecord | undefined> {
    const entry = await within(readMs, (await this.#open()).get(this.#key(sequence)))
    if (entry?.operation !== 'PUT') return undefined
    const stored = entry.json<StoredRecord>()
    if (stored.stream !== this.streamCreatedAt) return undefined
    const { stream: _, ...record } = stored
    return { ...noRecord, ...record }
  }

  async write(sequence: number, record: AttemptRecord): Promise<void> {
    const stored: StoredRecord = { stream: this.streamCreatedAt, ...record }
    await within(readMs, (await this.#open()).put(this.#key(sequence), JSON.stringify(stored)))
  }

  /** Removes a record without leaving a marker; nothing is lost when it fails, records expire. */
  forget(sequence: number): void {
    const subject = `$KV.${this.#names.attemptsBucket}.${this.#key(sequence)}`
    this.#jsm.streams.purge(`KV_${this.#names.attemptsBucket}`, { filter: subject }).catch(() => {})
  }

  /** Looks the bucket up again next time, because it was made anew. */
  reset(): void {
    this.#bucket = undefined
  }

  #key(sequence: number): string {
    return `${this.#names.jobStream}.${sequence}`
  }

  #open(): Promise<KV> {
    this.#bucket ??= new Kvm(this.#nc).open(this.#names.attemptsBucket, { timeout: readMs })
    this.#bucket.catch(() => {
      this.#bucket = undefined
    })
    return this.#bucket
  }
}

function within<T>(limitMs: number, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${limitMs} ms`)), limitMs)
    promise.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
