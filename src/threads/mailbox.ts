import {
  cell,
  fieldCount,
  fields,
  headCount,
  type JobBatch,
  type JobExtras,
  type LaneTable,
  phases,
} from './lane-protocol.ts'

/** A job that this thread has claimed: where its numbers are, and the parts that are not numbers. */
export interface ClaimedJob {
  readonly numbers: Float64Array
  /** Where the job's numbers begin. */
  readonly at: number
  /** Of all jobs that came with it. */
  readonly payloads: Buffer
  readonly extras: JobExtras | undefined
  /** On the monotonic clock. */
  readonly startedAt: number
}

interface OpenBatch {
  readonly count: number
  readonly numbers: Float64Array
  readonly payloads: Buffer
  readonly extras: readonly (JobExtras | undefined)[] | undefined
}

/** The jobs that were posted to a thread and have not begun, in the order in which they came. */
export class Mailbox {
  /** A job was not begun because its lease had run out; whoever reports that sets this back. */
  late = false
  /**
   * A job that was taken back was come upon. The supervisor believes the thread stalled, and sends nothing
   * more until it hears from it; whoever reports sets this back.
   */
  skipped = false
  readonly #table: LaneTable
  readonly #batches: OpenBatch[] = []
  #next = 0

  constructor(table: LaneTable) {
    this.#table = table
  }

  get isEmpty(): boolean {
    return this.#batches.length === 0
  }

  put(batch: JobBatch): void {
    if ('extras' in batch) this.#open(batch.buffer, batch.extras)
    else this.#open(batch, undefined)
  }

  #open(buffer: ArrayBuffer, extras: OpenBatch['extras']): void {
    // It goes on over the payloads, whose beginning is not known before the first of the numbers is read.
    const numbers = new Float64Array(buffer, 0, Math.floor(buffer.byteLength / 8))
    const count = numbers[0]!
    const payloads = Buffer.from(buffer, (headCount + count * fieldCount) * 8)
    this.#batches.push({ count, numbers, payloads, extras })
  }

  /**
   * The next job that the supervisor has not taken back, and still holds the lease of.
   *
   * @param now - on the monotonic clock; the job's deadline runs from then.
   */
  claim(now: number): ClaimedJob | undefined {
    for (;;) {
      const batch = this.#batches[0]
      if (!batch) return undefined
      const position = this.#next++
      if (position + 1 === batch.count) {
        this.#batches.shift()
        this.#next = 0
      }
      const { numbers } = batch
      const at = headCount + position * fieldCount
      if (!this.#claim(numbers[at + fields.slot]!, numbers[at + fields.ticket]!, now)) {
        this.skipped = true
        continue
      }
      return { numbers, at, payloads: batch.payloads, extras: batch.extras?.[position], startedAt: now }
    }
  }

  #claim(slot: number, ticket: number, startedAt: number): boolean {
    const { cells, leaseUntil } = this.#table
    const posted = cell(ticket, phases.posted)
    if (startedAt >= leaseUntil[slot]!) {
      if (Atomics.compareExchange(cells, slot, posted, cell(ticket, phases.late)) === posted) this.late = true
      return false
    }
    this.#table.startedAt[slot] = startedAt
    return Atomics.compareExchange(cells, slot, posted, cell(ticket, phases.started)) === posted
  }
}
