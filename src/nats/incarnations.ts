/** When each stream of jobs was made: its identity is its name and that instant. */
export class Incarnations {
  readonly #createdAt = new Map<string, string>()

  /** Notes what was seen; true when the stream was made anew since it was last seen. */
  seen(stream: string, createdAt: string): boolean {
    const before = this.#createdAt.get(stream)
    this.#createdAt.set(stream, createdAt)
    return before !== undefined && before !== createdAt
  }

  /** As the server wrote it; empty for a stream that was never seen. */
  of(stream: string): string {
    return this.#createdAt.get(stream) ?? ''
  }
}
