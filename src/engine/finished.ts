const defaultSlots = 2 ** 17

/**
 * Remembers which jobs of each stream we finished lately, so that one that is delivered again (its ack
 * was lost, or the broker forgot it) is acked and not run.
 *
 * A job is known by its stream, its sequence and the instant it was stored, because a stream that was
 * made anew counts from 1 again, and its first jobs can arrive before we hear of that.
 */
export class Finished {
  readonly #tables = new Map<string, Table>()
  /** The stream of the last job, which is usually that of the next one. */
  #stream = ''
  #table: Table | undefined
  readonly #slots: number

  /** @param slots - so many jobs of each stream are remembered; a power of two. */
  constructor(slots = defaultSlots) {
    this.#slots = slots
  }

  add(stream: string, sequence: number, storedAt: number): void {
    let table = this.#of(stream)
    if (!table) {
      table = new Table(this.#slots)
      this.#tables.set(stream, table)
      this.#table = table
    }
    table.add(sequence, storedAt)
  }

  has(stream: string, sequence: number, storedAt: number): boolean {
    return this.#of(stream)?.has(sequence, storedAt) ?? false
  }

  #of(stream: string): Table | undefined {
    if (this.#stream !== stream) {
      this.#stream = stream
      this.#table = this.#tables.get(stream)
    }
    return this.#table
  }
}

/**
 * The jobs of one stream, addressed by the low bits of the sequence: sequences are dense, so it holds about
 * the last 131,072 of them in two megabytes, at the cost of two stores per job.
 */
class Table {
  readonly #sequences: Float64Array
  readonly #storedAt: Float64Array
  readonly #mask: number

  constructor(slots: number) {
    this.#sequences = new Float64Array(slots)
    this.#storedAt = new Float64Array(slots)
    this.#mask = slots - 1
  }

  add(sequence: number, storedAt: number): void {
    const at = sequence & this.#mask
    this.#sequences[at] = sequence
    this.#storedAt[at] = storedAt
  }

  has(sequence: number, storedAt: number): boolean {
    const at = sequence & this.#mask
    return this.#sequences[at] === sequence && this.#storedAt[at] === storedAt
  }
}
