import { setImmediate as nextTurn } from 'node:timers/promises'
import type { HeaderEntry } from '../core/dead-letter.ts'
import { MillraceError } from '../core/errors.ts'
import type { Names } from '../core/names.ts'
import type { EnqueueManyOptions, EnqueueManyReport, FailedJob } from './enqueue-many-options.ts'
import { enqueuedJob } from './enqueued-job.ts'
import { composeJobOfMany, type JobToEnqueue, type NewJob } from './new-job.ts'
import type { PayloadCheck } from './payload-check.ts'
import { Taker } from './taker.ts'
import { withTraceHeaders } from './traced-job.ts'

const mostFailures = 1_000
/** A source that is always ready lets others have their turn after so many jobs. */
const turnJobs = 1_024

/** Where jobs go: one call each, and the owner hears what became of it. */
export interface ManyJobsBroker {
  send(job: NewJob, timeoutMs: number, owner: JobOwner, tag: number): number
}

/** Hears of each job once; `bytes` is what `send` returned, or returns soon. */
export interface JobOwner {
  stored(index: number, job: NewJob, stored: { sequence: number; duplicate: boolean }, bytes: number): void
  failed(index: number, job: NewJob, error: MillraceError, bytes: number): void
}

/** What a caller of `enqueueMany` does not choose, or not always. */
interface SendingOptions {
  readonly requestMs: number
  /** Epoch milliseconds. @default Date.now */
  readonly now?: (() => number) | undefined
}

/**
 * Enqueues many jobs: one use of it is one call of `enqueueMany`.
 *
 * 1. Takes jobs as long as there is room for them, by number and by bytes.
 * 2. Hands each to the broker, which tells later what became of it; no promise is made for a job.
 * 3. Waits for room until half of it is free, so that jobs go out in pieces and not one by one.
 */
export class ManyJobs implements JobOwner {
  readonly #broker: ManyJobsBroker
  readonly #names: Names
  readonly #options: EnqueueManyOptions & SendingOptions
  readonly #checkPayload: PayloadCheck | undefined
  /** Of the span of the whole call. */
  readonly #traceHeaders: readonly HeaderEntry[]
  readonly #mostJobs: number
  readonly #mostBytes: number
  readonly #failures: FailedJob[] = []
  #jobs = 0
  #bytes = 0
  #stored = 0
  #duplicates = 0
  #failed = 0
  #stopped: EnqueueManyReport['stopped']
  #thrown: { readonly error: unknown } | undefined
  #taker: Taker<JobToEnqueue> | undefined
  #enough: { jobs: number; bytes: number; resolve: () => void } | undefined

  constructor(
    broker: ManyJobsBroker,
    names: Names,
    options: EnqueueManyOptions & SendingOptions,
    checkPayload?: PayloadCheck,
    traceHeaders: readonly HeaderEntry[] = [],
  ) {
    this.#broker = broker
    this.#checkPayload = checkPayload
    this.#traceHeaders = traceHeaders
    this.#names = names
    this.#options = options
    this.#mostJobs = options.inFlightJobs ?? 2_000
    this.#mostBytes = options.inFlightBytes ?? 8 * 1_048_576
  }

  async enqueue(
    jobs: Iterable<JobToEnqueue> | AsyncIterable<JobToEnqueue>,
    closed: AbortSignal,
  ): Promise<EnqueueManyReport> {
    const { signal } = this.#options
    const onAbort = (): void => this.#stop('aborted')
    const onClosed = (): void => this.#stop('closed')
    signal?.addEventListener('abort', onAbort)
    closed.addEventListener('abort', onClosed)
    if (signal?.aborted) onAbort()
    try {
      if (!this.#stopped) await this.#takeAll(new Taker(jobs))
    } catch (error) {
      this.#thrown ??= { error }
    }
    await this.#until(0, 0)
    signal?.removeEventListener('abort', onAbort)
    closed.removeEventListener('abort', onClosed)
    if (this.#thrown) throw this.#thrown.error
    return this.#report()
  }

  stored(index: number, job: NewJob, stored: { sequence: number; duplicate: boolean }, bytes: number): void {
    const enqueued = enqueuedJob(job, stored)
    if (enqueued.duplicate) this.#duplicates += 1
    else this.#stored += 1
    const { onStored } = this.#options
    if (onStored) this.#tell(() => onStored({ index, ...enqueued }))
    this.#ended(bytes)
  }

  failed(index: number, job: NewJob, error: MillraceError, bytes: number): void {
    this.#fail({ index, id: job.id, error })
    this.#ended(bytes)
  }

  async #takeAll(taker: Taker<JobToEnqueue>): Promise<void> {
    this.#taker = taker
    let done = false
    try {
      for (let index = 0; !this.#stopped; index += 1) {
        let next = taker.next()
        if (next instanceof Promise) next = await next
        if (next.done) {
          done = true
          return
        }
        if (this.#stopped) return
        const taking = this.#take(next.value, index)
        if (taking) await taking
        if (this.#jobs >= this.#mostJobs || this.#bytes >= this.#mostBytes)
          await this.#until(this.#mostJobs / 2, this.#mostBytes / 2)
        else if (index % turnJobs === turnJobs - 1) await nextTurn()
      }
    } finally {
      if (!done) taker.leave()
    }
  }

  /** Sends a job; later, when its handler's schema takes its time. */
  #take(entry: JobToEnqueue, index: number): void | Promise<void> {
    try {
      const composed = composeJobOfMany(
        this.#names,
        entry,
        this.#options.handler,
        this.#options.now?.() ?? Date.now(),
      )
      const job = withTraceHeaders(composed, this.#traceHeaders)
      const checking = this.#checkPayload?.(job)
      if (checking) return this.#sendChecked(job, index, checking)
      this.#send(job, index)
    } catch (error) {
      this.#refuse(error, index, entry?.id)
    }
    return undefined
  }

  async #sendChecked(job: NewJob, index: number, checking: Promise<void>): Promise<void> {
    try {
      await checking
      this.#send(job, index)
    } catch (error) {
      this.#refuse(error, index, job.idGiven ? job.id : undefined)
    }
  }

  #refuse(error: unknown, index: number, id: unknown): void {
    if (!(error instanceof MillraceError)) throw error
    this.#fail({ index, id: typeof id === 'string' ? id : undefined, error })
  }

  #send(job: NewJob, index: number): void {
    this.#jobs += 1
    // It may fail before this returns; adding to what was there before would then count it for ever.
    const bytes = this.#broker.send(job, this.#options.requestMs, this, index)
    this.#bytes += bytes
  }

  #fail(failure: FailedJob): void {
    this.#failed += 1
    if (this.#failures.length < mostFailures) this.#failures.push(failure)
    const { onFailure, stopOnError } = this.#options
    if (onFailure) this.#tell(() => onFailure(failure))
    if (stopOnError) this.#stop('error')
  }

  /** What a caller's function throws must not reach the connection that called us. */
  #tell(call: () => void): void {
    try {
      call()
    } catch (error) {
      this.#thrown ??= { error }
      this.#stop('error')
    }
  }

  #stop(why: NonNullable<EnqueueManyReport['stopped']>): void {
    this.#stopped ??= why
    this.#taker?.interrupt()
    // What is under way is waited for at the end, not while there might be room for more.
    if (this.#enough && this.#enough.jobs > 0) this.#release()
  }

  #ended(bytes: number): void {
    this.#jobs -= 1
    this.#bytes -= bytes
    const enough = this.#enough
    if (enough && this.#jobs <= enough.jobs && this.#bytes <= enough.bytes) this.#release()
  }

  #release(): void {
    this.#enough?.resolve()
    this.#enough = undefined
  }

  /** Resolves when no more than so much is under way. */
  async #until(jobs: number, bytes: number): Promise<void> {
    if (this.#jobs <= jobs && this.#bytes <= bytes) return
    await new Promise<void>((resolve) => {
      this.#enough = { jobs, bytes, resolve }
    })
  }

  #report(): EnqueueManyReport {
    return {
      stored: this.#stored,
      duplicates: this.#duplicates,
      failed: this.#failed,
      failures: this.#failures.sort((one, other) => one.index - other.index),
      stopped: this.#stopped,
    }
  }
}
