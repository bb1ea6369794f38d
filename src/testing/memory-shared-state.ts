import type { Clock } from '../engine/clock-port.ts'
import type { SharedEntry, SharedState } from '../engine/shared-state-port.ts'

interface Watch {
  readonly prefix: string
  changed(key: string, value: string | undefined, storedAt: number): void
}

/** The control bucket in memory. Several supervisors may share one, and a client writes to it as an operator does. */
export class MemorySharedState implements SharedState {
  readonly entries = new Map<string, SharedEntry>()
  readonly #watches = new Set<Watch>()
  readonly #clock: Clock | undefined
  #revision = 0

  /** @param clock - the broker's; without one everything is written at 0. */
  constructor(clock?: Clock) {
    this.#clock = clock
  }

  /** How many watches are open. */
  get watches(): number {
    return this.#watches.size
  }

  /** Writes whatever is there, now and at once; returns the revision. */
  put(key: string, value = '{}', writtenAt = this.now()): number {
    this.#revision += 1
    this.entries.set(key, { value, revision: this.#revision, writtenAt })
    this.#tell(key, value, writtenAt)
    return this.#revision
  }

  /** Removes, now and at once. */
  delete(key: string): void {
    if (this.entries.delete(key)) this.#tell(key, undefined, this.now())
  }

  /** What is there now. */
  peek(key: string): string | undefined {
    return this.entries.get(key)?.value
  }

  async read(key: string): Promise<SharedEntry> {
    return this.entries.get(key) ?? { value: undefined, revision: 0, writtenAt: 0 }
  }

  async write(key: string, value: string, revision: number): Promise<number | undefined> {
    return (this.entries.get(key)?.revision ?? 0) === revision ? this.put(key, value) : undefined
  }

  async set(key: string, value: string): Promise<void> {
    this.put(key, value)
  }

  async remove(key: string): Promise<void> {
    this.delete(key)
  }

  watch(prefix: string, changed: Watch['changed'], listed?: () => void): () => void {
    const watch = { prefix, changed }
    this.#watches.add(watch)
    for (const [key, { value, writtenAt }] of this.entries) {
      if (key.startsWith(`${prefix}.`)) changed(key, value, writtenAt)
    }
    listed?.()
    return () => this.#watches.delete(watch)
  }

  /** The broker's clock. */
  protected now(): number {
    return this.#clock?.now() ?? 0
  }

  #tell(key: string, value: string | undefined, writtenAt: number): void {
    for (const { prefix, changed } of this.#watches) {
      if (key.startsWith(`${prefix}.`)) changed(key, value, writtenAt)
    }
  }
}
