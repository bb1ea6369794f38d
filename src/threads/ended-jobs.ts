import type { EndedJob, ReportedSpan, ResultBatch } from './lane-protocol.ts'
import type { ThreadJob } from './thread-job.ts'

/** The jobs of a thread that have ended, until the supervisor is told of them together. */
export class EndedJobs {
  /** Some of them did not complete. */
  hasFailures = false
  #jobs: ThreadJob[] = []

  get isEmpty(): boolean {
    return this.#jobs.length === 0
  }

  add(job: ThreadJob): void {
    this.#jobs.push(job)
  }

  remove(job: ThreadJob): void {
    this.#jobs = this.#jobs.filter((ended) => ended !== job)
  }

  /** What the supervisor is told; from here on a late rejection of these jobs charges nobody. */
  take(): ResultBatch {
    const completed: number[] = []
    const others: EndedJob[] = []
    const spans: ReportedSpan[] = []
    for (const job of this.#jobs) {
      job.reported = true
      const outcome = job.outcome!
      job.endSpan(outcome)
      const place = job.replaySpan
      if (place) spans.push({ slot: job.slot, ticket: job.ticket, place })
      if (outcome.kind === 'completed') completed.push(job.slot, job.ticket)
      else others.push({ slot: job.slot, ticket: job.ticket, durationMs: job.durationMs, outcome })
    }
    this.#jobs = []
    this.hasFailures = false
    return { kind: 'results', completed, others, ...(spans.length > 0 ? { spans } : {}) }
  }
}
