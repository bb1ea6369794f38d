import type { JetStreamManager } from '@nats-io/jetstream'
import { type KV, type KvEntry, Kvm } from '@nats-io/kv'
import type { NatsConnection } from '@nats-io/transport-node'
import { type AttemptRecord, noRecord, withRelease } from '../core/attempt.ts'
import type { Names } from '../core/names.ts'

/** A record that is not to be had within this is done without. */
const readMs = 2_000
const releaseTries = 3

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
    return this.#decode(await within(readMs, (await this.#open()).get(this.#key(sequence))))
  }

  async write(sequence: number, record: AttemptRecord): Promise<void> {
    await within(readMs, (await this.#open()).put(this.#key(sequence), this.#encode(record)))
  }

  /**
   * Adds a release to the record as it is now. The delivery was lost to another supervisor, which may be
   * writing too, so a record that changed meanwhile is read again.
   */
  async release(sequence: number): Promise<void> {
    const bucket = await this.#open()
    const key = this.#key(sequence)
    for (let triesLeft = releaseTries; ; triesLeft -= 1) {
      const entry = await within(readMs, bucket.get(key))
      const record = this.#encode(withRelease(this.#decode(entry) ?? noRecord))
      try {
        await within(readMs, entry ? bucket.update(key, record, entry.revision) : bucket.create(key, record))
        return
      } catch (error) {
        if (triesLeft === 1) throw error
      }
    }
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

  #encode(record: AttemptRecord): string {
    const stored: StoredRecord = { stream: this.streamCreatedAt, ...record }
    return JSON.stringify(stored)
  }

  #decode(entry: KvEntry | null): AttemptRecord | undefined {
    if (entry?.operation !== 'PUT') return undefined
    const { stream, ...record } = entry.json<StoredRecord>()
    return stream === this.streamCreatedAt ? { ...noRecord, ...record } : undefined
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
