import type { Broker } from './broker-port.ts'
import type { Clock } from './clock-port.ts'

/** In ack waits; a lost ack brings the job back after one, and whoever gets it may die as well. */
const keptAckWaits = 4
/** With more than this, the oldest go before their time; with twice as many, as the broker is slow, they are left to expire. */
const limit = 20_000
/**
 * So many are asked for together, and the next when these are over; more when the process ends. A server takes 10,000
 * requests, of all its clients.
 */
const atOnce = 100
const lastAtOnce = 1_000
/** How soon a broker that is away is tried again. */
const againMs = 1_000
/** With so many gone from its beginning the list is made anew. */
const compactedAt = 1_000

interface Kept {
  readonly stream: string
  readonly sequence: number
  readonly isDead: boolean
  /** On the monotonic clock. */
  readonly until: number
}

/**
 * Removes the records of jobs that are settled, a while after their acks.
 *
 * An ack that the broker loses (a leader that changes, a server that is killed) brings its job back, perhaps to
 * somebody else. The record of a dead job then tells that nothing is to be run. That of a completed one tells which
 * deliveries do not count: without it a job that was released often would be given up on although it has completed.
 */
export class SettledRecords {
  readonly #broker: Pick<Broker, 'connected' | 'forgetRecords'>
  readonly #clock: Clock
  readonly #keptMs: number
  #kept: Kept[] = []
  /** Those before it are gone. */
  #first = 0
  #removing: Promise<void> | undefined
  #stopped = false
  #cancel: (() => void) | undefined

  constructor(broker: Pick<Broker, 'connected' | 'forgetRecords'>, clock: Clock, ackWaitMs: number) {
    this.#broker = broker
    this.#clock = clock
    this.#keptMs = ackWaitMs * keptAckWaits
  }

  acked(stream: string, sequence: number, isDead: boolean): void {
    this.#kept.push({ stream, sequence, isDead, until: this.#clock.monotonicMs() + this.#keptMs })
    if (this.#size > 2 * limit) this.#take()
    this.#remove()
  }

  /** Forgets what belongs to a stream that is gone: another job has that place now. */
  forget(stream: string): void {
    this.#kept = this.#kept.slice(this.#first).filter((kept) => kept.stream !== stream)
    this.#first = 0
  }

  /** Nothing is kept from now on, but for the records of dead jobs, which expire. */
  stop(): void {
    this.#stopped = true
    this.#cancel?.()
    this.#cancel = undefined
    this.#remove()
  }

  /** Resolves when nothing is being removed any more. */
  async removed(): Promise<void> {
    while (this.#removing) await this.#removing
  }

  get #size(): number {
    return this.#kept.length - this.#first
  }

  #take(): Kept {
    const kept = this.#kept[this.#first]!
    this.#first += 1
    if (this.#first === compactedAt) {
      this.#kept = this.#kept.slice(compactedAt)
      this.#first = 0
    }
    return kept
  }

  /** Those whose time has come, and those before their time that are too many; then waits for the next. */
  #remove(): void {
    if (this.#removing || this.#size === 0) return
    if (!this.#broker.connected) {
      this.#wait(againMs)
      return
    }
    const now = this.#clock.monotonicMs()
    const most = this.#stopped ? lastAtOnce : atOnce
    const places: Kept[] = []
    while (places.length < most && this.#size > 0) {
      const isDue = this.#kept[this.#first]!.until <= now
      if (!isDue && !this.#stopped && this.#size <= limit) break
      const kept = this.#take()
      // Before its time that of a dead job is left to expire in the bucket.
      if (isDue || !kept.isDead) places.push(kept)
    }
    if (places.length > 0) {
      this.#removing = this.#broker.forgetRecords(places).then(() => {
        this.#removing = undefined
        this.#remove()
      })
    } else if (this.#size > 0) this.#wait(this.#kept[this.#first]!.until - now)
  }

  #wait(ms: number): void {
    if (this.#stopped) return
    this.#cancel ??= this.#clock.after(Math.max(0, ms), () => {
      this.#cancel = undefined
      this.#remove()
    })
  }
}
