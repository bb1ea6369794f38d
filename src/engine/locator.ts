import type { JobPosition } from '../core/job-position.ts'
import type { Whereabouts } from '../core/whereabouts.ts'
import type { Clock } from './clock-port.ts'
import { examineMs } from './deadlines.ts'
import type { InFlight } from './in-flight.ts'
import type { InFlightJob } from './in-flight-job.ts'
import type { Lane } from './lanes-port.ts'

export interface LocatorParts {
  readonly clock: Clock
  readonly inFlight: InFlight
  readonly supervisorId: string
  /** Threads may be asked. */
  readonly examines: boolean
}

/** Says where the jobs are that this supervisor holds, for whoever asks; changes nothing about them. */
export class Locator {
  readonly #parts: LocatorParts

  constructor(parts: LocatorParts) {
    this.#parts = parts
  }

  /** The job of this id, or at this place in a stream (`JOBS:42`); undefined when it is not here, or no longer. Never rejects. */
  async locate(id: string): Promise<JobPosition | undefined> {
    const job = this.#find(id)
    if (!job) return undefined
    const { lane } = job
    const startedAt = lane?.startedAt(job)
    if (!lane || startedAt === undefined) return { ...this.#describe(job), state: 'held', ...nowhere }
    // Before the thread is asked: that takes a moment, and the job may end in it.
    const position = this.#describe(job)
    const { ticket } = job
    const where = await this.#where(job, lane)
    // What the thread said may be of the job that came after it.
    if (job.lane !== lane || job.ticket !== ticket) return undefined
    const elapsedMs = Math.round(this.#parts.clock.monotonicMs() - startedAt)
    return { ...position, state: 'running', thread: lane.threadId, elapsedMs, where }
  }

  async #where(job: InFlightJob, lane: Lane): Promise<Whereabouts> {
    if (!this.#parts.examines) return { kind: 'unknown' }
    const { ticket } = job
    const first = await lane.examine(job, examineMs)
    const isThere = job.lane === lane && job.ticket === ticket
    // One look may just hit the moment in which another job had its turn.
    return first.kind === 'behind' && isThere ? lane.examine(job, examineMs) : first
  }

  #find(id: string): InFlightJob | undefined {
    let found: InFlightJob | undefined
    for (const job of this.#parts.inFlight.all()) {
      if (job.jobId !== id && `${job.stream}:${job.sequence}` !== id) continue
      // Of two with the same id the one that runs.
      if (!found || (job.lane?.startedAt(job) !== undefined && job !== found)) found = job
    }
    return found
  }

  #describe(job: InFlightJob) {
    return {
      jobId: job.jobId,
      handler: job.handler.profile.name,
      attempt: job.attempt,
      maxAttempts: job.maxAttempts,
      supervisor: this.#parts.supervisorId,
      deadlineMs: job.deadlineMs,
      abort: job.abortCode,
    }
  }
}

const nowhere = { thread: undefined, elapsedMs: undefined, where: undefined } as const
