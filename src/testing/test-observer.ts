import type { AttemptError, AttemptOutcome } from '../core/outcome.ts'
import type { Verdict } from '../core/verdict.ts'
import type { InFlightJob } from '../engine/in-flight-job.ts'
import type { Observer } from '../engine/observer-port.ts'
import type { LocalEnd } from './local-attempt.ts'
import { type CompletedTestJob, headersOf, payloadOf, type TestAttempt } from './test-records.ts'

type Writable<T> = { -readonly [Key in keyof T]: T[Key] }

/** Keeps what the engine says of attempts and jobs, for a test to look at. */
export class TestObserver implements Observer {
  readonly attempts: TestAttempt[] = []
  readonly completed: CompletedTestJob[] = []
  readonly #now: () => Date
  /** How the newest attempt of a job ended in this thread. */
  readonly #ends = new WeakMap<InFlightJob, LocalEnd>()
  readonly #newest = new WeakMap<InFlightJob, Writable<TestAttempt>>()

  constructor(now: () => Date) {
    this.#now = now
  }

  /** To be told before the engine is; without an end when the attempt was given up. */
  locallyEnded(job: InFlightJob, end: LocalEnd | undefined): void {
    if (end) this.#ends.set(job, end)
    else this.#ends.delete(job)
  }

  ended(job: InFlightJob, outcome: AttemptOutcome): void {
    const attempt: Writable<TestAttempt> = {
      jobId: job.jobId,
      handler: job.handler.profile.name,
      attempt: job.attempt,
      outcome,
      error: undefined,
      thrown: this.#ends.get(job)?.thrown,
      at: this.#now(),
    }
    this.#newest.set(job, attempt)
    this.attempts.push(attempt)
  }

  settled(job: InFlightJob, verdict: Verdict['kind']): void {
    if (verdict !== 'ack' || this.#newest.get(job)?.outcome !== 'completed') return
    this.completed.push({
      id: job.jobId,
      handler: job.handler.profile.name,
      payload: payloadOf(job.data, headersOf(job.headerEntries)),
      attempts: job.attempt,
      result: this.#ends.get(job)?.value,
      at: this.#now(),
    })
  }

  retrying(job: InFlightJob, _delayMs: number, error: AttemptError): void {
    this.#failed(job, error)
  }

  deadLettered(job: InFlightJob, _reason: string, error: AttemptError | undefined): void {
    if (error) this.#failed(job, error)
  }

  started(): void {}
  deadLetterRefused(): void {}
  leaseLost(): void {}
  heartbeatLate(): void {}
  duplicateSuppressed(): void {}
  acksRepeated(): void {}
  clamped(): void {}
  threadKilled(): void {}
  handlerRests(): void {}
  poolThreadless(): void {}
  recordUnavailable(): void {}
  limitUnavailable(): void {}
  limitWaits(): void {}
  handlerPaused(): void {}
  delayed(): void {}
  delayRefused(): void {}
  resultUnusable(): void {}
  resultLost(): void {}
  handlerOwned(): void {}
  handlerOnStandby(): void {}

  #failed(job: InFlightJob, { code, message }: AttemptError): void {
    const attempt = this.#newest.get(job)
    if (attempt) attempt.error = { code, message }
  }
}
