import type { Clock } from '#src/engine/clock-port.js'
import type { SharedEntry, SharedState } from '#src/engine/shared-state-port.js'

interface FakeWatch {
  prefix: string
  changed: (key: string, value: string | undefined, storedAt: number) => void
  listed: () => void
}

/** The control bucket in memory: several supervisors may share one, and a test writes to it as an operator does. */
export class FakeSharedState implements SharedState {
  readonly entries = new Map<string, SharedEntry>()
  /** What was asked, one line each. */
  readonly calls: string[] = []
  /** When set, nothing can be written or read. */
  error: Error | undefined
  /** When set, requests wait until the test lets them through. */
  gate: { enter(): Promise<void> } | undefined
  /** How long the broker takes for a write, half of it on the way there. */
  writeMs = 0
  /** The broker's clock less ours. */
  readonly aheadMs: number
  /** While it is true no watch says that its listing is complete. */
  holdsListing = false
  readonly #watches = new Set<FakeWatch>()
  readonly #clock: Clock | undefined
  #revision = 0

  constructor(clock?: Clock, aheadMs = 0) {
    this.#clock = clock
    this.aheadMs = aheadMs
  }

  get watches(): number {
    return this.#watches.size
  }

  take(): string[] {
    return this.calls.splice(0)
  }

  /** An operator writes. */
  put(key: string, value = '{}', writtenAt = this.#now()): number {
    this.#revision += 1
    this.entries.set(key, { value, revision: this.#revision, writtenAt })
    this.#tell(key, value, writtenAt)
    return this.#revision
  }

  /** An operator deletes. */
  delete(key: string): void {
    if (this.entries.delete(key)) this.#tell(key, undefined, this.#now())
  }

  /** What is there now. */
  peek(key: string): string | undefined {
    return this.entries.get(key)?.value
  }

  async read(key: string): Promise<SharedEntry> {
    await this.gate?.enter()
    this.#note(`read ${key}`)
    return this.entries.get(key) ?? { value: undefined, revision: 0, writtenAt: 0 }
  }

  async write(key: string, value: string, revision: number): Promise<number | undefined> {
    await this.gate?.enter()
    this.calls.push(`write ${key}`)
    await this.#onTheWay()
    if (this.error) throw this.error
    if ((this.entries.get(key)?.revision ?? 0) !== revision) return undefined
    const stored = this.put(key, value)
    await this.#onTheWay()
    return stored
  }

  async set(key: string, value: string): Promise<void> {
    this.#note(`set ${key}`)
    this.put(key, value)
  }

  async remove(key: string): Promise<void> {
    this.#note(`remove ${key}`)
    this.delete(key)
  }

  watch(prefix: string, changed: FakeWatch['changed'], listed: () => void = () => {}): () => void {
    const watch = { prefix, changed, listed }
    this.#watches.add(watch)
    for (const [key, { value, writtenAt }] of this.entries) {
      if (key.startsWith(`${prefix}.`)) changed(key, value, writtenAt)
    }
    if (!this.holdsListing) listed()
    return () => this.#watches.delete(watch)
  }

  #now(): number {
    return (this.#clock?.now() ?? 0) + this.aheadMs
  }

  #tell(key: string, value: string | undefined, writtenAt: number): void {
    for (const { prefix, changed } of this.#watches) {
      if (key.startsWith(`${prefix}.`)) changed(key, value, writtenAt)
    }
  }

  #note(call: string): void {
    this.calls.push(call)
    if (this.error) throw this.error
  }

  #onTheWay(): Promise<void> {
    if (this.writeMs === 0) return Promise.resolve()
    return new Promise((resolve) => this.#clock!.after(this.writeMs / 2, resolve))
  }
}
