import type { HeaderEntry } from '#src/core/dead-letter.js'
import type { DelayedJob, DueJob } from '#src/core/delayed-job.js'
import type { Delivery } from '#src/engine/broker-port.js'
import type { DelayedJobs, DelayedListener } from '#src/engine/delayed-jobs-port.js'
import type { Gate } from './fake-engine-parts.ts'

/** A delayed stream that notes what it is asked, one line each, in order. */
export class FakeDelayedJobs implements DelayedJobs {
  readonly calls: string[] = []
  readonly stored: { job: DelayedJob; headers: readonly HeaderEntry[]; data: Uint8Array }[] = []
  readonly published: { delivery: Delivery; due: DueJob }[] = []
  listener!: DelayedListener
  /** False: jobs cannot wait here. */
  takes = true
  /** So many requests are refused. */
  refusals = 0
  /** When set, requests wait until the test lets them through. */
  gate: Gate | undefined

  take(): string[] {
    return this.calls.splice(0)
  }

  listen(listener: DelayedListener): void {
    this.listener = listener
  }

  store(job: DelayedJob, headers: readonly HeaderEntry[], data: Uint8Array): Promise<void> | undefined {
    if (!this.takes) return undefined
    this.calls.push(`store ${job.sequence} ${new Date(job.dueAt).toISOString()}`)
    return this.#answer(() => this.stored.push({ job, headers, data }))
  }

  publish(delivery: Delivery, due: DueJob): Promise<void> | string {
    if (!delivery.subject.startsWith('jobs.')) return 'is no job'
    this.calls.push(`publish ${delivery.sequence} ${due.id}`)
    return this.#answer(() => this.published.push({ delivery, due }))
  }

  pull(count: number): void {
    this.calls.push(`pull ${count}`)
  }

  async #answer(done: () => void): Promise<void> {
    await this.gate?.enter()
    if (this.refusals > 0) {
      this.refusals -= 1
      throw new Error('the stream is full')
    }
    done()
  }
}
