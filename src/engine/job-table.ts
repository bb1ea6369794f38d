import type { InFlightJob } from './in-flight-job.ts'

const defaultSlots = 2 ** 12

/**
 * The deliveries of one stream that we hold, by sequence.
 *
 * A job's slot is given by the low bits of its sequence. Sequences are handed out one after the other, so what is held
 * at a time rarely meets in a slot; what does is kept in a map. A map alone costs more for each job, and is rehashed
 * over and over.
 */
export class JobTable {
  readonly #slots: (InFlightJob | undefined)[]
  readonly #mask: number
  /** Those whose slot was taken. */
  readonly #others = new Map<number, InFlightJob>()

  /** @param slots - a power of two. */
  constructor(slots = defaultSlots) {
    this.#slots = new Array<InFlightJob | undefined>(slots).fill(undefined)
    this.#mask = slots - 1
  }

  find(sequence: number): InFlightJob | undefined {
    const job = this.#slots[sequence & this.#mask]
    if (job !== undefined && job.sequence === sequence) return job
    return this.#others.size > 0 ? this.#others.get(sequence) : undefined
  }

  /** Puts it in the place of another one of its sequence; false when there was one. */
  add(job: InFlightJob): boolean {
    const { sequence } = job
    const at = sequence & this.#mask
    const there = this.#slots[at]
    const isOther = this.#others.size > 0 && this.#others.has(sequence)
    if (!isOther && (there === undefined || there.sequence === sequence)) {
      this.#slots[at] = job
      return there === undefined
    }
    this.#others.set(sequence, job)
    return !isOther
  }

  /** False when it is not there, but perhaps another one of its sequence. */
  remove(job: InFlightJob): boolean {
    const at = job.sequence & this.#mask
    if (this.#slots[at] === job) {
      this.#slots[at] = undefined
      return true
    }
    return this.#others.get(job.sequence) === job && this.#others.delete(job.sequence)
  }

  *all(): Generator<InFlightJob> {
    for (const job of this.#slots) if (job !== undefined) yield job
    yield* this.#others.values()
  }
}
