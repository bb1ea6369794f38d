import type { AttemptOutcome } from '../core/outcome.ts'
import type { Verdict } from '../core/verdict.ts'
import { whereaboutsText } from '../core/whereabouts.ts'
import type { InFlightJob } from '../engine/in-flight-job.ts'
import { type AttemptFacts, AttemptSpans, type SettleOperation } from '../tracing/attempt-span.ts'

const operations: Readonly<Record<Verdict['kind'], SettleOperation>> = {
  ack: 'ack',
  retry: 'nak',
  release: 'nak',
  dead_letter: 'dead_letter',
}

/** The spans that the supervisor makes: of settlements, and of attempts whose thread could make none. */
export class JobTracing {
  readonly #spans: AttemptSpans
  readonly #supervisorId: string
  /** When the last attempt ended, in epoch milliseconds. */
  readonly #endedAt = new WeakMap<InFlightJob, number>()

  private constructor(spans: AttemptSpans, supervisorId: string) {
    this.#spans = spans
    this.#supervisorId = supervisorId
  }

  /** Undefined when no SDK is registered in this process. */
  static create(supervisorId: string): JobTracing | undefined {
    const spans = AttemptSpans.create()
    return spans && new JobTracing(spans, supervisorId)
  }

  /** A thread that was killed, or ended by itself, takes the span of its attempt with it. */
  ended(job: InFlightJob, outcome: AttemptOutcome, durationMs: number): void {
    const now = Date.now()
    this.#endedAt.set(job, now)
    if (job.spanMade) return
    const { whereabouts } = job
    const where = whereabouts && whereabouts !== 'asked' ? whereaboutsText(whereabouts) : undefined
    job.attemptSpan = this.#spans.ended(this.#factsOf(job), { outcome, where }, now - durationMs, now)
  }

  settled(job: InFlightJob, verdict: Verdict['kind']): void {
    const now = Date.now()
    const { attemptSpan } = job
    this.#spans.settled(
      this.#factsOf(job),
      operations[verdict],
      this.#endedAt.get(job) ?? now,
      now,
      attemptSpan,
    )
  }

  #factsOf(job: InFlightJob): AttemptFacts {
    return {
      jobId: job.jobId,
      handler: job.handler.profile.name,
      subject: job.subject,
      attempt: job.attempt,
      stream: job.stream,
      sequence: job.sequence,
      headers: job.headers ?? {},
      worker: `${this.#supervisorId}/${job.threadId}`,
    }
  }
}
