/**
 * How long a stream that was there has to be missing before it is made anew; a little less than the time between two
 * looks.
 *
 * A server that deletes a stream first takes it off its books, then ends its consumers, of which whoever pulls hears,
 * and last removes its folder, by name. A stream of that name that was made in between loses its files: what it stores
 * is acknowledged and can never be delivered. Seen on 2.9.10; the order is the same in 2.14.
 */
export const settlingMs = 900

/** Streams that were there on this server, and since when those of them are missing that are not there now. */
export class Absences {
  readonly #missingSince = new Map<string, number | undefined>()
  #serverId: string | undefined

  present(stream: string): void {
    this.#missingSince.set(stream, undefined)
  }

  /**
   * Who is looked at. A server that has started since the last look deletes nothing just now: what its store has lost
   * is made at once. What was missing before goes on to be, and so does all when the same server is connected anew.
   *
   * @param serverId - new with each start of a server.
   */
  servedBy(serverId: string | undefined): void {
    if (serverId === this.#serverId) return
    this.#serverId = serverId
    for (const [stream, since] of this.#missingSince) {
      if (since === undefined) this.#missingSince.delete(stream)
    }
  }

  /** Notes that a stream is missing; true when it may be made: at once if it never was there. */
  mayBeMade(stream: string): boolean {
    if (!this.#missingSince.has(stream)) return true
    const now = performance.now()
    const since = this.#missingSince.get(stream) ?? now
    this.#missingSince.set(stream, since)
    return now - since >= settlingMs
  }
}
