import type { HeaderEntry } from '../core/dead-letter.ts'
import type { DelayedJob, DueJob } from '../core/delayed-job.ts'
import type { Delivery } from './broker-port.ts'

/** Where jobs wait whose time has not come. Nothing here throws, except promises where it says so. */
export interface DelayedJobs {
  /** Names who hears of what arrives; once, before anything is pulled. */
  listen(listener: DelayedListener): void
  /**
   * Resolves when the server has stored the job; rejects when it has not, or cannot tell. Undefined when the
   * job cannot wait there at all: there is no such stream, or the job is too large to come back from it.
   */
  store(job: DelayedJob, headers: readonly HeaderEntry[], data: Uint8Array): Promise<void> | undefined
  /**
   * Publishes a job that is due; resolves and rejects like `store`. Doing it twice is doing it once. Answers with
   * the reason when no job can be made of the message, so that somebody else must have put it there.
   */
  publish(delivery: Delivery, due: DueJob): Promise<void> | string
  /** Asks for up to `count` messages of the delayed stream; one pull at a time. */
  pull(count: number): void
}

/** What the delayed stream tells the engine. */
export interface DelayedListener {
  /** `subject` and `handler` of the delivery are those that the job is for. */
  delayedArrived(delivery: Delivery): void
  /** The pull brings nothing more. */
  delayedPullEnded(): void
  /** The stream was made anew: nothing remembered of the old one applies. */
  delayedReplaced(stream: string): void
}
