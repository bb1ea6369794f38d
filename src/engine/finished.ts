const slots = 2 ** 17
const mask = slots - 1

/**
 * Remembers which jobs of the stream we finished lately, so that one that is delivered again (its ack
 * was lost, or the broker forgot it) is acked and not run.
 *
 * A table addressed by the low bits of the sequence: sequences are dense, so it holds about the last
 * 131,072 jobs of the stream in one megabyte, at the cost of one store per job.
 */
export class Finished {
  readonly #sequences = new Float64Array(slots)

  add(sequence: number): void {
    this.#sequences[sequence & mask] = sequence
  }

  has(sequence: number): boolean {
    return this.#sequences[sequence & mask] === sequence
  }

  clear(): void {
    this.#sequences.fill(0)
  }
}
