/** A value and what a compare-and-swap has to expect to find it. */
export interface MemoryEntry {
  readonly value: string
  readonly revision: number
}

/** A key-value bucket: whoever writes last is right, except by compare-and-swap. */
export class MemoryBucket {
  readonly #entries = new Map<string, MemoryEntry>()
  #revision = 0

  get keys(): string[] {
    return [...this.#entries.keys()]
  }

  get(key: string): MemoryEntry | undefined {
    return this.#entries.get(key)
  }

  put(key: string, value: string): number {
    this.#revision += 1
    this.#entries.set(key, { value, revision: this.#revision })
    return this.#revision
  }

  /** Writes when the entry is still at `revision`, 0 for one that is not there; undefined when it is not. */
  update(key: string, value: string, revision: number): number | undefined {
    return (this.#entries.get(key)?.revision ?? 0) === revision ? this.put(key, value) : undefined
  }

  /** Removes the entry as if it had never been. */
  purge(key: string): void {
    this.#entries.delete(key)
  }
}
