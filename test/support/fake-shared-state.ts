import type { SharedEntry, SharedState } from '#src/engine/ports.js'

interface FakeWatch {
  prefix: string
  changed: (key: string, value: string | undefined, storedAt: number) => void
  listed: () => void
}

/** The control bucket without a broker: a test writes to it as an operator does. */
export class FakeSharedState implements SharedState {
  readonly entries = new Map<string, { value: string; revision: number; storedAt: number }>()
  readonly calls: string[] = []
  /** When set, nothing can be written or read. */
  error: Error | undefined
  /** While it is true no watch says that its listing is complete. */
  holdsListing = false
  readonly #watches = new Set<FakeWatch>()
  readonly #now: () => number
  #revision = 0

  constructor(now: () => number = () => 0) {
    this.#now = now
  }

  get watches(): number {
    return this.#watches.size
  }

  /** An operator writes. */
  put(key: string, value = '{}', storedAt = this.#now()): void {
    this.#revision += 1
    this.entries.set(key, { value, revision: this.#revision, storedAt })
    this.#tell(key, value, storedAt)
  }

  /** An operator deletes. */
  delete(key: string): void {
    if (this.entries.delete(key)) this.#tell(key, undefined, this.#now())
  }

  async read(key: string): Promise<SharedEntry> {
    this.#note(`read ${key}`)
    const entry = this.entries.get(key)
    return { value: entry?.value, revision: entry?.revision ?? 0 }
  }

  async write(key: string, value: string, revision: number): Promise<number | undefined> {
    this.#note(`write ${key} ${value}`)
    if ((this.entries.get(key)?.revision ?? 0) !== revision) return undefined
    this.put(key, value)
    return this.#revision
  }

  async set(key: string, value: string): Promise<void> {
    this.#note(`set ${key} ${value}`)
    this.put(key, value)
  }

  async remove(key: string): Promise<void> {
    this.#note(`remove ${key}`)
    this.delete(key)
  }

  watch(prefix: string, changed: FakeWatch['changed'], listed: () => void = () => {}): () => void {
    const watch = { prefix, changed, listed }
    this.#watches.add(watch)
    for (const [key, { value, storedAt }] of this.entries) {
      if (key.startsWith(`${prefix}.`)) changed(key, value, storedAt)
    }
    if (!this.holdsListing) listed()
    return () => this.#watches.delete(watch)
  }

  #tell(key: string, value: string | undefined, storedAt: number): void {
    for (const { prefix, changed } of this.#watches) {
      if (key.startsWith(`${prefix}.`)) changed(key, value, storedAt)
    }
  }

  #note(call: string): void {
    this.calls.push(call)
    if (this.error) throw this.error
  }
}
