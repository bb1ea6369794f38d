import { type TickRecord, tickHeaders } from '../core/ticks.ts'
import type { StoredTick, TickJob, TickStore } from '../engine/ticks-port.ts'
import type { MemoryJobStore } from './memory-job-store.ts'

/** The records of schedules in memory. */
export class MemoryTickStore implements TickStore {
  readonly connected = true
  readonly #store: MemoryJobStore
  readonly #records = new Map<string, { readonly record: TickRecord; readonly revision: number }>()
  #revision = 0

  constructor(store: MemoryJobStore) {
    this.#store = store
  }

  async read(schedule: string): Promise<StoredTick> {
    return this.#records.get(schedule) ?? { record: undefined, revision: 0 }
  }

  async write(schedule: string, record: TickRecord, revision: number): Promise<number | undefined> {
    if ((this.#records.get(schedule)?.revision ?? 0) !== revision) return undefined
    this.#revision += 1
    this.#records.set(schedule, { record, revision: this.#revision })
    return this.#revision
  }

  async publishJob(job: TickJob): Promise<{ sequence: number; duplicate: boolean }> {
    return this.#store.publish({
      handler: job.handler,
      priority: 'normal',
      id: job.id,
      headers: tickHeaders(job.schedule, job.instant),
      data: Buffer.from(job.payload ?? ''),
    })
  }

  async isSettled(_handler: string, _jobId: string, sequence: number): Promise<boolean> {
    return !this.#store.streams.normal.has(sequence)
  }
}
