import { type AttemptRecord, noRecord, withRelease } from '../core/attempt.ts'
import { type DeadLetter, deadLetterId, type HeaderEntry } from '../core/dead-letter.ts'
import { type Names, type Priority, priorities } from '../core/names.ts'
import type { Broker, BrokerListener, Outstanding, RecordPlace } from '../engine/broker-port.ts'
import type { Clock } from '../engine/clock-port.ts'
import type { MemoryBroker } from './memory-broker.ts'
import type { MemoryJobStore } from './memory-job-store.ts'

/**
 * A supervisor's connection to the store in memory, which is never away and loses nothing.
 *
 * 1. Nothing is handed out while `running` is false.
 * 2. What was pulled is handed out as soon as there is a job, in a turn of its own, as a server's answer would be.
 * 3. What was given back with a delay, or has lost its lease, is handed out when the clock says so.
 * 4. Once it has ended, what its supervisor still says reaches nobody, and nobody answers it.
 */
export class MemoryLink implements Broker {
  readonly connected = true
  readonly epoch = 1
  readonly #store: MemoryJobStore
  readonly #clock: Clock
  readonly #names: Names
  /** Pulled and not yet brought, by priority and handler. */
  readonly #credit = new Map<
    string,
    { readonly priority: Priority; readonly handler: string; count: number }
  >()
  #listener: BrokerListener | undefined
  #running = false
  #scheduled = false
  #ended = false
  #cancelWake: (() => void) | undefined

  constructor(store: MemoryJobStore, clock: Clock, names: Names) {
    this.#store = store
    this.#clock = clock
    this.#names = names
  }

  /** Names who gets what is handed out; to be called when it has started, so that it knows what is paused. */
  listen(listener: BrokerListener): void {
    this.#listener = listener
    this.#store.onStored = (handler, priority) => {
      this.#bind(handler, priority)
      this.#schedule()
    }
    for (const [handler, priority] of this.#store.unsettled()) this.#bind(handler, priority)
  }

  set running(running: boolean) {
    this.#running = running
    this.#schedule()
  }

  /** The supervisor is gone. */
  end(): void {
    this.#ended = true
    this.#running = false
    this.#cancelWake?.()
  }

  pull(handler: string, priority: Priority, count: number): void {
    const key = `${priority}.${handler}`
    const credit = this.#credit.get(key) ?? { priority, handler, count: 0 }
    credit.count += count
    this.#credit.set(key, credit)
    this.#schedule()
  }

  isBehind(): boolean {
    return false
  }

  ack(reply: string): void {
    this.#settle(reply, '+ACK')
  }

  nak(reply: string, delayMs: number): void {
    this.#settle(reply, delayMs > 0 ? `-NAK {"delay":${delayMs * 1e6}}` : '-NAK')
  }

  extend(reply: string): void {
    this.#settle(reply, '+WPI')
  }

  barrier(): Promise<void> {
    return this.#ask(() => {})
  }

  publishDeadLetter(letter: DeadLetter, headers: readonly HeaderEntry[], data: Uint8Array): Promise<void> {
    return this.#ask(() => {
      const { dead } = this.#store.streams.normal
      const id = deadLetterId(letter.stream, letter.sequence)
      const { duplicate } = dead.publish(id, this.#names.deadSubject(letter.handler))
      if (!duplicate) this.#store.letters.push({ letter, headers, data })
    })
  }

  mayHaveRecord(): boolean {
    return false
  }

  readRecord(stream: string, sequence: number): Promise<AttemptRecord | undefined> {
    return this.#ask(() => this.#readRecord(stream, sequence))
  }

  writeRecord(stream: string, sequence: number, record: AttemptRecord): Promise<void> {
    return this.#ask(() => this.#writeRecord(stream, sequence, record))
  }

  releaseRecord(stream: string, sequence: number, deliveries: number): Promise<void> {
    return this.#ask(() => {
      const record = this.#readRecord(stream, sequence) ?? noRecord
      this.#writeRecord(stream, sequence, withRelease(record, deliveries))
    })
  }

  async forgetRecords(places: readonly RecordPlace[]): Promise<void> {
    if (this.#ended) return
    for (const { stream, sequence } of places) this.#records.purge(`${stream}.${sequence}`)
  }

  isStored(stream: string, sequence: number): Promise<boolean> {
    return this.#ask(() => this.#store.streamNamed(stream).has(sequence))
  }

  /** Nothing is replayed here. */
  claimReplay(): Promise<boolean> {
    return this.#ask(() => true)
  }

  storeOutcome(jobId: string, entry: string): Promise<void> {
    return this.#ask(() => this.#store.storeOutcome(jobId, entry))
  }

  readOutstanding(handler: string): Promise<Outstanding> {
    return this.#ask(() => {
      const counts = priorities.map((priority) => this.#store.streams[priority].outstanding(handler))
      return { deliveries: counts.reduce((sum, count) => sum + count, 0), otherPulls: 0 }
    })
  }

  get #records() {
    return this.#store.streams.normal.attempts
  }

  #readRecord(stream: string, sequence: number): AttemptRecord | undefined {
    const entry = this.#records.get(`${stream}.${sequence}`)
    return entry && (JSON.parse(entry.value) as AttemptRecord)
  }

  #writeRecord(stream: string, sequence: number, record: AttemptRecord): void {
    this.#records.put(`${stream}.${sequence}`, JSON.stringify(record))
  }

  async #ask<T>(answer: () => T): Promise<T> {
    if (this.#ended) return new Promise<never>(() => {})
    this.#store.activity += 1
    return answer()
  }

  #settle(reply: string, answer: string): void {
    if (this.#ended) return
    this.#store.activity += 1
    this.#store.streamNamed(reply.split('.')[2]!).settle(reply, answer)
    this.#schedule()
  }

  /** The streams of the other priorities are made with their first job. */
  #bind(handler: string, priority: Priority): void {
    if (priority !== 'normal') this.#listener?.sourceBound(handler, priority)
  }

  /** Looks in a moment what can be handed out. */
  #schedule(): void {
    if (this.#scheduled || !this.#running) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#handOut()
    })
  }

  #handOut(): void {
    if (!this.#running) return
    for (const credit of this.#credit.values()) {
      const stream = this.#store.streams[credit.priority]
      while (credit.count > 0 && stream.hasNext(credit.handler)) {
        credit.count -= 1
        this.#bring(stream, credit.priority, credit.handler)
      }
    }
    this.#cancelWake?.()
    const at = Math.min(...priorities.map((priority) => this.#store.streams[priority].nextReturnAt))
    if (!Number.isFinite(at)) return
    this.#cancelWake = this.#clock.after(at - this.#clock.monotonicMs(), () => this.#schedule())
  }

  #bring(stream: MemoryBroker, priority: Priority, handler: string): void {
    this.#store.activity += 1
    this.#listener?.delivered({
      ...stream.next(handler)!,
      priority,
      stream: this.#names.streamOf(priority),
      subject: this.#names.jobSubject(handler, priority),
      pending: 0,
      headerProblem: undefined,
      headersUnread: 0,
    })
  }
}
