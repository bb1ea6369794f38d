import type { Broker } from './broker-port.ts'
import type { Clock } from './clock-port.ts'

/** In ack waits; a lost ack brings the job back after one, and whoever gets it may die as well. */
const keptAckWaits = 4
/** With more than this, the oldest are let go of; few at a time, because each is a request to the broker. */
const limit = 20_000
const letGoAtOnce = 100

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
  readonly #broker: Pick<Broker, 'forgetRecord'>
  readonly #clock: Clock
  readonly #keptMs: number
  #kept: Kept[] = []
  #stopped = false
  #cancel: (() => void) | undefined

  constructor(broker: Pick<Broker, 'forgetRecord'>, clock: Clock, ackWaitMs: number) {
    this.#broker = broker
    this.#clock = clock
    this.#keptMs = ackWaitMs * keptAckWaits
  }

  acked(stream: string, sequence: number, isDead: boolean): void {
    this.#kept.push({ stream, sequence, isDead, until: this.#clock.monotonicMs() + this.#keptMs })
    if (this.#stopped) this.#letGo(1)
    else if (this.#kept.length > limit) this.#letGo(letGoAtOnce)
    this.#wait()
  }

  /** Forgets what belongs to a stream that is gone: another job has that place now. */
  forget(stream: string): void {
    this.#kept = this.#kept.filter((kept) => kept.stream !== stream)
  }

  /** Nothing is kept from now on. */
  stop(): void {
    this.#stopped = true
    this.#cancel?.()
    this.#letGo(this.#kept.length)
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

  /** Before their time: those of dead jobs are left to expire in the bucket. */
  #letGo(count: number): void {
    for (const { stream, sequence, isDead } of this.#kept.splice(0, count)) {
      if (!isDead) this.#broker.forgetRecord(stream, sequence)
    }
  }
}
