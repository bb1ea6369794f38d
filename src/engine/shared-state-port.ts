/** An entry of the state that all supervisors share, as it was read. */
export interface SharedEntry {
  /** Undefined when there is none, or it was removed. */
  readonly value: string | undefined
  /** What a write must expect to find; 0 when there never was one. */
  readonly revision: number
  /** When the broker stored it, by its own clock; 0 when there never was one. */
  readonly writtenAt: number
}

/** Small values that all supervisors share. Everything rejects when the broker cannot be reached. */
export interface SharedState {
  read(key: string): Promise<SharedEntry>
  /** Writes when nobody else has written since `revision` was read; undefined when somebody has. */
  write(key: string, value: string, revision: number): Promise<number | undefined>
  /** Writes whatever is there now. */
  set(key: string, value: string): Promise<void>
  remove(key: string): Promise<void>
  /**
   * Tells every entry whose key begins with `<prefix>.`, and from then on each change; undefined is removed.
   * Goes on by itself through lost connections and a bucket that is made anew. Returns what ends it.
   *
   * @param changed - `storedAt` is the broker's clock, epoch milliseconds.
   * @param listed - all that is there has been told; called again after each new listing.
   */
  watch(
    prefix: string,
    changed: (key: string, value: string | undefined, storedAt: number) => void,
    listed?: () => void,
  ): () => void
}
