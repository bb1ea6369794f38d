import { type AttemptRecord, noRecord, withRelease } from '../core/attempt.ts'
import { type DeadLetter, deadLetterId, type HeaderEntry } from '../core/dead-letter.ts'
import { type Names, type Priority, priorities } from '../core/names.ts'
import type { Broker, BrokerListener, Outstanding } from '../engine/broker-port.ts'
import type { Clock } from '../engine/clock-port.ts'
import { MemoryBroker } from './memory-broker.ts'

/** A job that became a dead letter, as it was stored. */
export interface StoredLetter {
  readonly letter: DeadLetter
  readonly headers: readonly HeaderEntry[]
  readonly data: Uint8Array
}

/** A job on its way into the broker. */
export interface MemoryPublication {
  readonly handler: string
  readonly priority: Priority
  /** Its message id, which is remembered for the duplicate window. */
  readonly id: string | undefined
  readonly headers: readonly HeaderEntry[]
  readonly data: Uint8Array
}

const duplicateWindowMs = 120_000

/**
 * The engine's broker in memory: a stream for each priority, records, dead letters and outcomes. It is never away
 * and loses nothing.
 *
 * 1. What is published waits. Nothing is handed out while `running` is false.
 * 2. What was pulled is handed out as soon as there is a job, in a turn of its own, as a server's answer would be.
 * 3. What was given back with a delay, or has lost its lease, is handed out when the clock says so.
 */
export class MemoryJobBroker implements Broker {
  readonly connected = true
  readonly epoch = 1
  readonly letters: StoredLetter[] = []
  /** By job id, as they are kept for handlers with `result: true`. */
  readonly outcomes = new Map<string, string>()
  listener: BrokerListener | undefined
  /** Rises with everything that happens here. */
  activity = 0
  readonly #clock: Clock
  readonly #names: Names
  readonly #streams: Readonly<Record<Priority, MemoryBroker>>
  readonly #known = new Map<string, { readonly sequence: number; readonly at: number }>()
  /** Pulled and not yet brought, by stream and handler. */
  readonly #credit = new Map<string, { priority: Priority; handler: string; count: number }>()
  readonly #outcomeWatches = new Set<{ jobId: string; callback: () => void }>()
  #running = false
  #scheduled = false
  #cancelWake: (() => void) | undefined

  constructor(clock: Clock, names: Names, ackWaitMs: number) {
    this.#clock = clock
    this.#names = names
    const stream = (priority: Priority): MemoryBroker =>
      new MemoryBroker(clock, { stream: names.streamOf(priority), ackWaitMs, duplicateWindowMs })
    this.#streams = { high: stream('high'), normal: stream('normal'), low: stream('low') }
  }

  set running(running: boolean) {
    this.#running = running
    this.#schedule()
  }

  /** Stores a job, unless one with its id was stored within the duplicate window. */
  publish(job: MemoryPublication): { readonly sequence: number; readonly duplicate: boolean } {
    const { handler, priority, id, headers, data } = job
    const key = `${this.#names.streamOf(priority)}:${id}`
    const known = id === undefined ? undefined : this.#known.get(key)
    if (known && this.#clock.monotonicMs() - known.at < duplicateWindowMs) {
      return { sequence: known.sequence, duplicate: true }
    }
    const all: HeaderEntry[] = id === undefined ? [...headers] : [...headers, ['Nats-Msg-Id', id]]
    const sequence = this.#streams[priority].enqueue(handler, data, all.length > 0 ? all : undefined)
    if (id !== undefined) this.#known.set(key, { sequence, at: this.#clock.monotonicMs() })
    // The streams of the other priorities are made with their first job.
    if (priority !== 'normal') this.listener?.sourceBound(handler, priority)
    this.#schedule()
    return { sequence, duplicate: false }
  }

  /** The handler of every job that is not settled. */
  *unsettled(): Generator<string> {
    for (const priority of priorities) yield* this.#streams[priority].handlers()
  }

  has(stream: string, sequence: number): boolean {
    return this.#streamOf(stream).has(sequence)
  }

  /** Calls back when the outcome of a job is stored; returns what ends it. */
  onOutcome(jobId: string, callback: () => void): () => void {
    const watch = { jobId, callback }
    this.#outcomeWatches.add(watch)
    return () => this.#outcomeWatches.delete(watch)
  }

  pull(handler: string, priority: Priority, count: number): void {
    const key = `${priority}.${handler}`
    const credit = this.#credit.get(key) ?? { priority, handler, count: 0 }
    credit.count += count
    this.#credit.set(key, credit)
    this.#schedule()
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

  async barrier(): Promise<void> {}

  async publishDeadLetter(
    letter: DeadLetter,
    headers: readonly HeaderEntry[],
    data: Uint8Array,
  ): Promise<void> {
    this.activity += 1
    const id = deadLetterId(letter.stream, letter.sequence)
    const { duplicate } = this.#streams.normal.dead.publish(id, this.#names.deadSubject(letter.handler))
    if (!duplicate) this.letters.push({ letter, headers, data })
  }

  mayHaveRecord(): boolean {
    return false
  }

  async readRecord(stream: string, sequence: number): Promise<AttemptRecord | undefined> {
    const entry = this.#records.get(`${stream}.${sequence}`)
    return entry && (JSON.parse(entry.value) as AttemptRecord)
  }

  async writeRecord(stream: string, sequence: number, record: AttemptRecord): Promise<void> {
    this.activity += 1
    this.#records.put(`${stream}.${sequence}`, JSON.stringify(record))
  }

  async releaseRecord(stream: string, sequence: number): Promise<void> {
    const record = (await this.readRecord(stream, sequence)) ?? noRecord
    await this.writeRecord(stream, sequence, withRelease(record))
  }

  forgetRecord(stream: string, sequence: number): void {
    this.#records.purge(`${stream}.${sequence}`)
  }

  async isStored(stream: string, sequence: number): Promise<boolean> {
    return this.has(stream, sequence)
  }

  /** Nothing is replayed here. */
  async claimReplay(): Promise<boolean> {
    return true
  }

  async storeOutcome(jobId: string, entry: string): Promise<void> {
    this.activity += 1
    this.outcomes.set(jobId, entry)
    for (const watch of [...this.#outcomeWatches]) if (watch.jobId === jobId) watch.callback()
  }

  async readOutstanding(handler: string): Promise<Outstanding> {
    const counts = priorities.map((priority) => this.#streams[priority].outstanding(handler))
    return { deliveries: counts.reduce((sum, count) => sum + count, 0), otherPulls: 0 }
  }

  get #records() {
    return this.#streams.normal.attempts
  }

  #settle(reply: string, answer: string): void {
    this.activity += 1
    this.#streamOf(reply.split('.')[2]!).settle(reply, answer)
    this.#schedule()
  }

  #streamOf(name: string): MemoryBroker {
    const priority = priorities.find((each) => this.#names.streamOf(each) === name) ?? 'normal'
    return this.#streams[priority]
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
      const stream = this.#streams[credit.priority]
      while (credit.count > 0 && stream.hasNext(credit.handler)) {
        credit.count -= 1
        this.#bring(stream, credit.priority, credit.handler)
      }
    }
    this.#cancelWake?.()
    const at = Math.min(...priorities.map((priority) => this.#streams[priority].nextReturnAt))
    if (!Number.isFinite(at)) return
    this.#cancelWake = this.#clock.after(at - this.#clock.monotonicMs(), () => this.#schedule())
  }

  #bring(stream: MemoryBroker, priority: Priority, handler: string): void {
    this.activity += 1
    this.listener?.delivered({
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
