import type { DeadLetter, HeaderEntry } from '../core/dead-letter.ts'
import { type Names, type Priority, priorities } from '../core/names.ts'
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

/** A job that was stored. */
export interface PublishedJob extends MemoryPublication {
  readonly sequence: number
  /** Epoch milliseconds. */
  readonly storedAt: number
}

/** Everything that a namespace has at its broker, in memory: what is left when supervisors die. */
export class MemoryJobStore {
  readonly streams: Readonly<Record<Priority, MemoryBroker>>
  /** Every job that was ever stored, in order. */
  readonly published: PublishedJob[] = []
  readonly letters: StoredLetter[] = []
  /** By job id, as they are kept for handlers with `result: true`. */
  readonly outcomes = new Map<string, string>()
  /** Rises with everything that happens here. */
  activity = 0
  /** Called after each job that was stored. */
  onStored: (handler: string, priority: Priority) => void = () => {}
  readonly #names: Names
  readonly #clock: Clock
  readonly #duplicateWindowMs: number
  readonly #known = new Map<string, { readonly sequence: number; readonly at: number }>()
  readonly #outcomeWatches = new Set<{ readonly jobId: string; callback(): void }>()

  constructor(
    clock: Clock,
    names: Names,
    { ackWaitMs, duplicateWindowMs }: { readonly ackWaitMs: number; readonly duplicateWindowMs: number },
  ) {
    this.#clock = clock
    this.#names = names
    this.#duplicateWindowMs = duplicateWindowMs
    const stream = (priority: Priority): MemoryBroker =>
      new MemoryBroker(clock, { stream: names.streamOf(priority), ackWaitMs, duplicateWindowMs })
    this.streams = { high: stream('high'), normal: stream('normal'), low: stream('low') }
  }

  /** Stores a job, unless one with its id was stored within the duplicate window. */
  publish(job: MemoryPublication): { readonly sequence: number; readonly duplicate: boolean } {
    const { handler, priority, id, headers, data } = job
    const key = `${this.#names.streamOf(priority)}:${id}`
    const known = id === undefined ? undefined : this.#known.get(key)
    if (known && this.#clock.monotonicMs() - known.at < this.#duplicateWindowMs) {
      return { sequence: known.sequence, duplicate: true }
    }
    const all: HeaderEntry[] = id === undefined ? [...headers] : [...headers, ['Nats-Msg-Id', id]]
    const sequence = this.streams[priority].enqueue(handler, data, all.length > 0 ? all : undefined)
    if (id !== undefined) this.#known.set(key, { sequence, at: this.#clock.monotonicMs() })
    this.published.push({ ...job, sequence, storedAt: this.#clock.now() })
    this.activity += 1
    this.onStored(handler, priority)
    return { sequence, duplicate: false }
  }

  /** The handler and priority of every job that is not settled. */
  *unsettled(): Generator<readonly [handler: string, priority: Priority]> {
    for (const priority of priorities) {
      for (const handler of this.streams[priority].handlers()) yield [handler, priority]
    }
  }

  /** The stream of this name; the normal one for a name that is no job stream's. */
  streamNamed(name: string): MemoryBroker {
    const priority = priorities.find((each) => this.#names.streamOf(each) === name) ?? 'normal'
    return this.streams[priority]
  }

  /** Keeps how a job ended, and tells who watches for that. */
  storeOutcome(jobId: string, entry: string): void {
    this.activity += 1
    this.outcomes.set(jobId, entry)
    for (const watch of [...this.#outcomeWatches]) if (watch.jobId === jobId) watch.callback()
  }

  /** Calls back when the outcome of a job is stored; returns what ends it. */
  onOutcome(jobId: string, callback: () => void): () => void {
    const watch = { jobId, callback }
    this.#outcomeWatches.add(watch)
    return () => this.#outcomeWatches.delete(watch)
  }
}
