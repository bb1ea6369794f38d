const slots = 2 ** 17
const mask = slots - 1

/**
 * Remembers which jobs of the stream we finished lately, so that one that is delivered again (its ack
 * was lost, or the broker forgot it) is acked and not run.
 *
 * A job is known by its sequence and the instant it was stored, because a stream that was made anew
 * counts from 1 again, and its first jobs can arrive before we hear of that.
 *
 * A table addressed by the low bits of the sequence: sequences are dense, so it holds about the last
 * 131,072 jobs of the stream in two megabytes, at the cost of two stores per job.
 */
export class Finished {
  readonly #sequences = new Float64Array(slots)
  readonly #storedAt = new Float64Array(slots)

  add(sequence: number, storedAt: number): void {
    const at = sequence & mask
    this.#sequences[at] = sequence
    this.#storedAt[at] = storedAt
  }

  has(sequence: number, storedAt: number): boolean {
    const at = sequence & mask
    return this.#sequences[at] === sequence && this.#storedAt[at] === storedAt
  }
}
