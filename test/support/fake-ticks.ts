import type { TickSchedule } from '#src/core/tick-plan.js'
import type { TickRecord } from '#src/core/ticks.js'
import type { StoredTick, TickJob, TickObserver, TickStore } from '#src/engine/ticks-port.js'

/** Where a fake store can be made to fail. */
export type TickStep = 'read' | 'write' | 'publish' | 'settled'

/** The records of schedules and a job stream, in memory; and an observer that notes what it is told. */
export class FakeTicks implements TickStore, TickObserver {
  connected = true
  readonly records = new Map<string, { record: TickRecord; revision: number }>()
  /** Every job that was stored, in order; the sequence is its place, from 1. */
  readonly jobs: TickJob[] = []
  /** Sequences of the jobs that are completed. */
  readonly settledJobs = new Set<number>()
  /** What the broker remembers of message ids. */
  readonly ids = new Map<string, number>()
  readonly said: string[] = []
  /** Called before each request is carried out, and after it; what it throws is the answer. */
  before: (step: TickStep) => void | Promise<void> = () => {}
  after: (step: TickStep) => void | Promise<void> = () => {}
  #revision = 0

  /** The instants of the stored jobs, in the order in which they were stored. */
  get instants(): number[] {
    return this.jobs.map((job) => job.instant)
  }

  take(): string[] {
    return this.said.splice(0)
  }

  read(schedule: string): Promise<StoredTick> {
    return this.#step('read', () => this.records.get(schedule) ?? { record: undefined, revision: 0 })
  }

  write(schedule: string, record: TickRecord, revision: number): Promise<number | undefined> {
    return this.#step('write', () => {
      if ((this.records.get(schedule)?.revision ?? 0) !== revision) return undefined
      return this.put(schedule, record)
    })
  }

  /** Writes a record whatever is there. */
  put(schedule: string, record: TickRecord): number {
    this.#revision += 1
    this.records.set(schedule, { record, revision: this.#revision })
    return this.#revision
  }

  publishJob(job: TickJob): Promise<{ sequence: number; duplicate: boolean }> {
    return this.#step('publish', () => {
      const known = this.ids.get(job.id)
      if (known !== undefined) return { sequence: known, duplicate: true }
      this.jobs.push(job)
      this.ids.set(job.id, this.jobs.length)
      return { sequence: this.jobs.length, duplicate: false }
    })
  }

  isSettled(_handler: string, _jobId: string, sequence: number): Promise<boolean> {
    return this.#step('settled', () => this.settledJobs.has(sequence))
  }

  published(schedule: TickSchedule, instant: number): void {
    this.said.push(`published ${schedule.name} ${instant}`)
  }

  duplicate(schedule: string): void {
    this.said.push(`duplicate ${schedule}`)
  }

  skipped(schedule: TickSchedule, instant: number): void {
    this.said.push(`skipped ${schedule.name} ${instant}`)
  }

  missed(schedule: TickSchedule, count: number): void {
    this.said.push(`missed ${schedule.name} ${count}`)
  }

  unavailable(schedule: string): void {
    this.said.push(`unavailable ${schedule}`)
  }

  async #step<T>(step: TickStep, carryOut: () => T): Promise<T> {
    await this.before(step)
    const answer = carryOut()
    await this.after(step)
    return answer
  }
}
