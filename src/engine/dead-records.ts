import type { Broker } from './broker-port.ts'
import type { Clock } from './clock-port.ts'

/** In ack waits; a lost ack brings the job back after one, and whoever gets it may die as well. */
const keptAckWaits = 4
/** With more than this, the oldest are left to expire in the bucket. */
const limit = 100_000

interface Kept {
  readonly stream: string
  readonly sequence: number
  /** On the monotonic clock. */
  readonly until: number
}

/**
 * Removes the records of jobs that are dead, a while after their acks.
 *
 * Such a record is what tells whoever gets the job once more that nothing is to be run; an ack that the broker
 * loses (a leader that changes, a server that is killed) would otherwise let a job run that has its dead letter.
 */
export class DeadRecords {
  readonly #broker: Pick<Broker, 'forgetRecord'>
  readonly #clock: Clock
  readonly #keptMs: number
  #kept: Kept[] = []
  #cancel: (() => void) | undefined

  constructor(broker: Pick<Broker, 'forgetRecord'>, clock: Clock, ackWaitMs: number) {
    this.#broker = broker
    this.#clock = clock
    this.#keptMs = ackWaitMs * keptAckWaits
  }

  acked(stream: string, sequence: number): void {
    if (this.#kept.length >= limit) this.#kept = this.#kept.slice(limit / 2)
    this.#kept.push({ stream, sequence, until: this.#clock.monotonicMs() + this.#keptMs })
    this.#wait()
  }

  /** Forgets what belongs to a stream that is gone: another job has that place now. */
  forget(stream: string): void {
    this.#kept = this.#kept.filter((kept) => kept.stream !== stream)
  }

  /** What is left expires in the bucket. */
  stop(): void {
    this.#cancel?.()
    this.#kept = []
  }

  #wait(): void {
    const [first] = this.#kept
    if (this.#cancel || !first) return
    this.#cancel = this.#clock.after(Math.max(0, first.until - this.#clock.monotonicMs()), () => {
      this.#cancel = undefined
      this.#remove()
      this.#wait()
    })
  }

  #remove(): void {
    const now = this.#clock.monotonicMs()
    const left = this.#kept.findIndex(({ until }) => until > now)
    for (const { stream, sequence } of this.#kept.splice(0, left < 0 ? this.#kept.length : left)) {
      this.#broker.forgetRecord(stream, sequence)
    }
  }
}
