import { type Priority, priorities } from '../core/names.ts'
import type { BrokerListener, Delivery } from './broker-port.ts'
import type { EngineParts } from './engine-parts.ts'
import type { HandlerState } from './handler-state.ts'

/** Brings what the broker tells to the parts that it concerns. */
export class BrokerEvents implements BrokerListener {
  readonly #parts: EngineParts

  constructor(parts: EngineParts) {
    this.#parts = parts
  }

  delivered(delivery: Delivery): void {
    this.#parts.life.arrival.delivered(delivery)
  }

  creditReturned(handler: string, priority: Priority, count: number): void {
    const state = this.#find(handler)
    if (!state) return
    state.sources[priority].returned(count)
    this.#parts.pools.roomChanged(state)
  }

  silent(forMs: number): void {
    this.#parts.arrivalAge.silent(forMs)
  }

  sourceBound(handler: string, priority: Priority): void {
    const state = this.#find(handler)
    if (!state) return
    state.sources[priority].bound = true
    this.#parts.pools.roomChanged(state)
  }

  reconnected(): void {
    const { receipts, heartbeat, arrivalAge, limits, mover, owners, pools } = this.#parts
    arrivalAge.reconnected()
    owners.reconnected()
    receipts.repeat()
    heartbeat.beat()
    limits.reconnected()
    mover?.reconnected()
    pools.pullAll()
  }

  disconnected(): void {
    const { handlers, mover } = this.#parts
    this.countsDoubtful()
    for (const { sources } of handlers) for (const priority of priorities) sources[priority].credit = 0
    mover?.disconnected()
  }

  countsDoubtful(): void {
    const { ownRecords, inFlight } = this.#parts
    ownRecords.clear()
    for (const job of inFlight.all()) job.isAllOurs = false
  }

  streamReplaced(stream: string, createdAt: number): void {
    const { settlement, inFlight, life } = this.#parts
    settlement.forget(stream)
    for (const job of [...inFlight.all()]) {
      if (job.stream === stream && job.storedAt < createdAt) life.interruption.orphan(job)
    }
  }

  hasFinished(stream: string, sequence: number, storedAt: number): boolean {
    return this.#parts.finished.has(stream, sequence, storedAt)
  }

  #find(name: string): HandlerState | undefined {
    return this.#parts.handlers.find(({ profile }) => profile.name === name)
  }
}
