import { JetStreamApiError, jetstream } from '@nats-io/jetstream'
import { type KV, Kvm } from '@nats-io/kv'
import { errors, type NatsConnection } from '@nats-io/transport-node'
import type { SharedEntry, SharedState } from '../engine/shared-state-port.ts'
import { BucketWatch, type WatchedBucket } from './bucket-watch.ts'

/** What is not answered within this is taken for unreachable. */
const requestMs = 2_000

/** Somebody else has written meanwhile; newer servers have a second code for it. */
const wrongLastSequence = [10071, 10164]

/** The bucket `<namespace>_control`: what all supervisors have to know, and agree on by compare-and-swap. */
export class ControlBucket implements SharedState {
  readonly #nc: NatsConnection
  readonly #parts: WatchedBucket
  readonly #watches = new Set<BucketWatch>()
  #bucket: Promise<KV> | undefined

  constructor(parts: WatchedBucket) {
    this.#nc = parts.nc
    this.#parts = parts
  }

  async read(key: string): Promise<SharedEntry> {
    const entry = await this.#with((bucket) => bucket.get(key))
    if (!entry) return { value: undefined, revision: 0, writtenAt: 0 }
    const { operation, revision, created } = entry
    return { value: operation === 'PUT' ? entry.string() : undefined, revision, writtenAt: created.getTime() }
  }

  async write(key: string, value: string, revision: number): Promise<number | undefined> {
    return this.#with(async (bucket) => {
      try {
        return await bucket.put(key, value, { previousSeq: revision })
      } catch (error) {
        if (error instanceof JetStreamApiError && wrongLastSequence.includes(error.code)) return undefined
        throw error
      }
    })
  }

  async set(key: string, value: string): Promise<void> {
    await this.#with((bucket) => bucket.put(key, value))
  }

  async remove(key: string): Promise<void> {
    await this.#with((bucket) => bucket.delete(key))
  }

  watch(
    prefix: string,
    changed: (key: string, value: string | undefined, storedAt: number) => void,
    listed: () => void = () => {},
  ): () => void {
    const watch = new BucketWatch(this.#parts, `${prefix}.>`, { changed, listed })
    this.#watches.add(watch)
    return () => {
      watch.end()
      this.#watches.delete(watch)
    }
  }

  /** To be called after a reconnect, and when the bucket was made anew. */
  reset(): void {
    for (const watch of this.#watches) watch.begin()
  }

  close(): void {
    for (const watch of this.#watches) watch.end()
    this.#watches.clear()
  }

  async #with<T>(use: (bucket: KV) => Promise<T>): Promise<T> {
    try {
      return await use(await this.#open())
    } catch (error) {
      this.#parts.trouble(error)
      throw error
    }
  }

  #open(): Promise<KV> {
    if (this.#nc.isClosed()) return Promise.reject(new errors.ClosedConnectionError())
    // Binds by name, and asks the server nothing.
    this.#bucket ??= new Kvm(jetstream(this.#nc, { timeout: requestMs })).open(this.#parts.bucket)
    return this.#bucket
  }
}
