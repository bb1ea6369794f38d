import { JetStreamApiError } from '@nats-io/jetstream'
import { type KV, Kvm, type KvWatchEntry } from '@nats-io/kv'
import { errors, type NatsConnection } from '@nats-io/transport-node'
import type { SharedEntry, SharedState } from '../engine/ports.ts'

const requestMs = 2_000
/** A watch is begun anew this often, whatever happened to the last one without our noticing. */
const renewMs = 30_000
/** Pause before a watch that could not begin, or ended, is tried again. */
const againMs = 500
/** A new watch tells all that there is at once; what it has not told after this is gone. */
const listedMs = 1_000

const wrongLastSequence = 10071

/** The bucket `<namespace>_control`: what all supervisors have to know, and agree on by compare-and-swap. */
export class ControlBucket implements SharedState {
  readonly #nc: NatsConnection
  readonly #name: string
  readonly #trouble: () => void
  readonly #watches = new Set<Watch>()
  #bucket: Promise<KV> | undefined

  /** @param trouble - told when something fails: the bucket may have to be made anew. */
  constructor(nc: NatsConnection, name: string, trouble: () => void = () => {}) {
    this.#nc = nc
    this.#name = name
    this.#trouble = trouble
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
        if (error instanceof JetStreamApiError && error.code === wrongLastSequence) return undefined
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

  watch(prefix: string, changed: (key: string, value: string | undefined) => void): () => void {
    const watch = new Watch(() => this.#open(), `${prefix}.>`, changed)
    this.#watches.add(watch)
    return () => {
      watch.end()
      this.#watches.delete(watch)
    }
  }

  /** To be called after a reconnect, and when the bucket was made anew. */
  reset(): void {
    this.#bucket = undefined
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
      this.#trouble()
      throw error
    }
  }

  #open(): Promise<KV> {
    if (this.#nc.isClosed()) return Promise.reject(new errors.ClosedConnectionError())
    this.#bucket ??= new Kvm(this.#nc).open(this.#name, { timeout: requestMs })
    this.#bucket.catch(() => {
      this.#bucket = undefined
    })
    return this.#bucket
  }
}

/**
 * One watch of the bucket. The server forgets it at a restart, so it is begun anew on every reconnect and
 * from time to time; each entry is told once for each of its revisions all the same.
 */
class Watch {
  readonly #open: () => Promise<KV>
  readonly #filter: string
  readonly #changed: (key: string, value: string | undefined) => void
  /** The revision of every entry that is there. */
  readonly #known = new Map<string, number>()
  #seen = new Set<string>()
  #turn = 0
  #stop: (() => void) | undefined
  #timer: NodeJS.Timeout | undefined
  #listed: NodeJS.Timeout | undefined

  constructor(
    open: () => Promise<KV>,
    filter: string,
    changed: (key: string, value: string | undefined) => void,
  ) {
    this.#open = open
    this.#filter = filter
    this.#changed = changed
    this.begin()
  }

  begin(): void {
    this.end()
    const turn = this.#turn
    this.#timer = setTimeout(() => this.begin(), renewMs)
    this.#timer.unref()
    void this.#run(turn).catch(() => this.#again(turn))
  }

  end(): void {
    this.#turn += 1
    this.#stop?.()
    this.#stop = undefined
    clearTimeout(this.#timer)
    clearTimeout(this.#listed)
  }

  async #run(turn: number): Promise<void> {
    const entries = await (await this.#open()).watch({ key: this.#filter })
    if (turn !== this.#turn) {
      entries.stop()
      return
    }
    this.#stop = () => entries.stop()
    this.#seen = new Set()
    this.#listed = setTimeout(() => this.#forgetUnseen(), listedMs)
    this.#listed.unref()
    for await (const entry of entries) if (turn === this.#turn) this.#tell(entry)
    this.#again(turn)
  }

  #again(turn: number): void {
    if (turn !== this.#turn) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.begin(), againMs)
    this.#timer.unref()
  }

  #tell(entry: KvWatchEntry): void {
    const { key, revision } = entry
    if (entry.operation === 'PUT') {
      this.#seen.add(key)
      if (this.#known.get(key) === revision) return
      this.#known.set(key, revision)
      this.#changed(key, entry.string())
    } else if (this.#known.delete(key)) this.#changed(key, undefined)
  }

  #forgetUnseen(): void {
    for (const key of [...this.#known.keys()]) {
      if (this.#seen.has(key)) continue
      this.#known.delete(key)
      this.#changed(key, undefined)
    }
  }
}
