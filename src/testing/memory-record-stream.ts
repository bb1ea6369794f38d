import type { Clock } from '../engine/clock-port.ts'

/** One record, as whoever published it wanted it. */
export interface MemoryRecord {
  readonly sequence: number
  readonly id: string
  readonly subject: string
  /** The value of a header; its name in any case. Empty when it has none. */
  header(name: string): string
  /** On the monotonic clock. */
  readonly storedAt: number
}

/**
 * A stream with Limits retention and a duplicate window, as the dead letters have: within the window, what is
 * published under a message id that is known is not stored again, and the answer names the record that is there.
 */
export class MemoryRecordStream {
  readonly records: MemoryRecord[] = []
  readonly #clock: Clock
  readonly #windowMs: number

  constructor(clock: Clock, windowMs: number) {
    this.#clock = clock
    this.#windowMs = windowMs
  }

  publish(
    id: string,
    subject = '',
    header: (name: string) => string = () => '',
  ): { readonly sequence: number; readonly duplicate: boolean } {
    const now = this.#clock.monotonicMs()
    // The window runs from the first record: a refused one does not lengthen it.
    const known = this.records.findLast(
      (record) => record.id === id && now - record.storedAt < this.#windowMs,
    )
    if (known) return { sequence: known.sequence, duplicate: true }
    const sequence = this.records.length + 1
    this.records.push({ sequence, id, subject, header, storedAt: now })
    return { sequence, duplicate: false }
  }

  find(sequence: number): MemoryRecord | undefined {
    return this.records[sequence - 1]
  }
}
