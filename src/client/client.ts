import { cancelledKey, pausedKey } from '../core/control-keys.ts'
import { MillraceError } from '../core/errors.ts'
import type { JobOutcome } from '../core/job-outcome.ts'
import { decodePosition, type JobPosition, whereQuestion } from '../core/job-position.ts'
import type { Names } from '../core/names.ts'
import { extraRunId, tickHeaders } from '../core/ticks.ts'
import type { ClientPort } from '../nats/client-broker.ts'
import { withPublishSpan } from '../tracing/publish-span.ts'
import { DeadLetters } from './dead-letters.ts'
import { ManyJobs } from './enqueue-many.ts'
import { checkManyOptions, type EnqueueManyOptions, type EnqueueManyReport } from './enqueue-many-options.ts'
import { type EnqueuedJob, enqueuedJob } from './enqueued-job.ts'
import type {
  AnyHandlers,
  EnqueueArguments,
  HandlerName,
  JobOf,
  PayloadOf,
  ResultOf,
} from './handler-types.ts'
import { checkHandler, checkJobId, composeJob, type JobToEnqueue } from './new-job.ts'
import type { PayloadCheck } from './payload-check.ts'
import { type Queues, readQueues } from './queues.ts'
import { checkRetrySelection, type RetrySelection, readRetries, type WaitingRetry } from './retries.ts'
import { readTick, type ScheduleTick } from './schedule-tick.ts'
import { publishTraced } from './traced-job.ts'
import { defaultTimeoutMs, type WaitOptions, waitForOutcome } from './wait-for.ts'

/** Longer than a thread may take to answer; and for a second supervisor that has lost the job without knowing. */
const whereListening = { firstMs: 1_500, moreMs: 600 }

/** What a client is made of. */
export interface ClientParts {
  readonly broker: ClientPort
  readonly names: Names
  /** Who pauses a handler, for whoever looks why it is paused. */
  readonly name: string
  readonly requestMs: number
  /** Refuses a payload that its handler would refuse, when the handlers are at hand. */
  readonly checkPayload?: PayloadCheck | undefined
  /** Epoch milliseconds. @default Date.now */
  readonly now?: (() => number) | undefined
  close(): Promise<void>
}

/**
 * Enqueues jobs, waits for their outcomes, and pauses, resumes and cancels: all that an application has to do
 * with the jobs that supervisors run. Made by `createClient`.
 *
 * Everything that it stores is confirmed by the server before the promise resolves. What a lost connection
 * may have swallowed is sent again, within `requestMs`; that never makes two jobs of one.
 *
 * `Handlers` is a type that has the handlers by their names, so that names, payloads and results are checked by
 * the compiler; without it every name and every payload is accepted.
 */
export class Client<Handlers extends object = AnyHandlers> {
  readonly #parts: ClientParts
  readonly #closed = new AbortController()
  #deadLetters: DeadLetters | undefined

  constructor(parts: ClientParts) {
    this.#parts = parts
  }

  /**
   * Stores a job for a handler, which need not be there yet. The payload is sent as JSON, a `Uint8Array` as it
   * is with `content-type: application/octet-stream`, `undefined` as an empty body.
   *
   * @throws {MillraceError} `invalid_job` before anything is sent; `payload_too_large`, `stream_full`,
   *   `topology_missing`, `not_permitted`; `broker_unreachable` when nothing was confirmed within `requestMs`:
   *   whether the job is stored is not known then, and enqueuing it again under the same id is safe.
   */
  async enqueue<Name extends HandlerName<Handlers>>(
    handler: Name,
    ...[payload, options = {}]: EnqueueArguments<PayloadOf<Handlers, Name>>
  ): Promise<EnqueuedJob> {
    this.#requireOpen()
    const { broker, names, requestMs, checkPayload } = this.#parts
    const job = composeJob(names, handler, payload, options, this.#now())
    if (checkPayload) await checkPayload(job)
    const stored = await publishTraced(job, (traced) => broker.publish(traced, requestMs))
    return enqueuedJob(job, stored)
  }

  /**
   * Stores many jobs, several at once, from anything that can be iterated; takes the next one only when there is
   * room, so a generator of millions is never held in memory. A job that cannot be stored is counted and does not
   * stop the others.
   *
   * Resolves when every job that was taken is stored or has failed; also after an abort, an error with
   * `stopOnError` or `close`, and then `stopped` says so.
   *
   * @throws {MillraceError} `invalid_job` when the options cannot be understood; `client_closed` when the client
   *   was closed before; and whatever `jobs`, `onStored` or `onFailure` throw, once what is under way has ended.
   */
  async enqueueMany<Shared extends HandlerName<Handlers> = never>(
    jobs: Iterable<JobOf<Handlers, Shared>> | AsyncIterable<JobOf<Handlers, Shared>>,
    options: EnqueueManyOptions<Shared> = {},
  ): Promise<EnqueueManyReport> {
    this.#requireOpen()
    const { broker, names, requestMs, checkPayload } = this.#parts
    checkManyOptions(options)
    const chosen = { ...options, requestMs: options.requestMs ?? requestMs, now: this.#parts.now }
    const destination = options.handler === undefined ? names.namespace : names.jobSubject(options.handler)
    return withPublishSpan({ destination }, (headers) =>
      new ManyJobs(broker, names, chosen, checkPayload, headers).enqueue(
        jobs as Iterable<JobToEnqueue>,
        this.#closed.signal,
      ),
    )
  }

  /** Begins no more jobs of a handler on any supervisor, within 2 s; what runs goes on. Lasts until `resume`. */
  async pause(handler: HandlerName<Handlers>): Promise<void> {
    checkHandler(handler)
    const entry = { at: new Date(this.#now()).toISOString(), by: this.#parts.name }
    await this.#control(pausedKey(handler), JSON.stringify(entry))
  }

  /** Ends a pause; nothing happens when there is none. */
  async resume(handler: HandlerName<Handlers>): Promise<void> {
    checkHandler(handler)
    await this.#control(pausedKey(handler), undefined)
  }

  /**
   * Cancels a job: one that waits becomes a dead letter instead of running, one that runs is told to stop. A job
   * that has ended already is not changed; whether there is such a job is not looked at.
   */
  async cancel(jobId: string): Promise<void> {
    checkJobId(jobId)
    const entry = { id: jobId, at: new Date(this.#now()).toISOString() }
    await this.#control(cancelledKey(jobId), JSON.stringify(entry))
  }

  /**
   * Where a job is now, on whichever supervisor holds it: usually one, none when it neither runs nor is about to.
   * Supervisors have 1.5 s to answer. The job is not disturbed. Needs an operator's permissions.
   *
   * @throws {MillraceError} `invalid_job`, `not_permitted`, `broker_unreachable`.
   */
  async where(jobId: string): Promise<JobPosition[]> {
    this.#requireOpen()
    checkJobId(jobId)
    const answers = await this.#parts.broker.ask(whereQuestion, jobId, whereListening)
    return answers.map(decodePosition).filter((position) => position !== undefined)
  }

  /**
   * How a job ended, as far as that is known now. Undefined when it has not ended, its handler lacks
   * `result: true`, or `MILLRACE_RESULT_TTL_MS` have passed since.
   */
  async outcome<Result = unknown>(jobId: string): Promise<JobOutcome<Result> | undefined> {
    this.#requireOpen()
    checkJobId(jobId)
    return (await this.#parts.broker.outcome(jobId)) as JobOutcome<Result> | undefined
  }

  /**
   * Waits for the end of a job whose handler has `result: true`, through lost connections and restarts of the
   * broker; resolves at once when it has ended already. A dead letter is an outcome, too, not an error.
   *
   * @throws {MillraceError} `wait_timeout` after `timeoutMs`, `client_closed`, `invalid_job`;
   *   `signal.reason` when the signal aborts.
   */
  async waitFor<Name extends HandlerName<Handlers>>(
    jobId: string,
    options: WaitOptions & { handler: Name },
  ): Promise<JobOutcome<ResultOf<Handlers, Name>>>
  async waitFor<Result = unknown>(jobId: string, options?: WaitOptions): Promise<JobOutcome<Result>>
  async waitFor(jobId: string, options: WaitOptions = {}): Promise<JobOutcome> {
    this.#requireOpen()
    checkJobId(jobId)
    const { timeoutMs = defaultTimeoutMs, signal, onProgress, handler } = options
    if (typeof timeoutMs !== 'number' || !(timeoutMs >= 0)) {
      throw new MillraceError(
        'invalid_job',
        `timeoutMs must be a number of milliseconds of at least 0, got ${String(timeoutMs)}`,
      )
    }
    if (handler !== undefined) checkHandler(handler)
    const stopListening = onProgress ? this.#listen(jobId, handler, onProgress) : undefined
    try {
      const closed = this.#closed.signal
      return await waitForOutcome(this.#parts.broker, jobId, { timeoutMs, signal, closed })
    } finally {
      stopListening?.()
    }
  }

  /** The newest tick of every schedule that has ticked, by name. */
  async ticks(): Promise<ScheduleTick[]> {
    this.#requireOpen()
    const { broker, names } = this.#parts
    const newest = await broker.newest(names.ticksStream, names.tickSubjects)
    const prefix = names.tickSubject('').length
    return newest.map(({ subject, text }) => readTick(subject.slice(prefix), text))
  }

  /**
   * Stores a job of a schedule now, besides its ticks: the handler gets the schedule's payload, and now as its tick.
   * Which tick comes next, and whether it is skipped, is not changed by it. Undefined when no supervisor has had a
   * schedule of this name. Needs an operator's permissions.
   *
   * @throws {MillraceError} as `enqueue` does; `invalid_job` when the schedule's record does not say what the payload
   *   is, because it is long or a supervisor of an older version wrote it.
   */
  async runSchedule(schedule: string): Promise<EnqueuedJob | undefined> {
    this.#requireOpen()
    checkHandler(schedule)
    const { broker, names, requestMs } = this.#parts
    const [stored] = await broker.newest(names.ticksStream, names.tickSubject(schedule))
    if (!stored) return undefined
    const { handler = schedule, payload, payloadKnown } = readTick(schedule, stored.text)
    if (!payloadKnown) {
      throw new MillraceError(
        'invalid_job',
        `the record of the schedule ${schedule} does not say what the payload of its jobs is: it is too long for it, or no supervisor of this version has had the schedule yet; enqueue a job of ${handler} with that payload instead`,
      )
    }
    const now = this.#now()
    const headers = Object.fromEntries(tickHeaders(schedule, now))
    if (payload !== undefined) headers['content-type'] = 'application/json'
    // As the bytes that they are, so that no number loses a digit.
    const bytes = payload === undefined ? undefined : Buffer.from(payload)
    const job = composeJob(names, handler, bytes, { id: extraRunId(schedule, now), headers }, now)
    return enqueuedJob(job, await broker.publish(job, requestMs))
  }

  /**
   * What waits, runs and was given up on, by handler, whether or not a supervisor runs; undefined when there is no
   * stream of jobs. Some requests for each handler, so not more often than every few seconds. Needs an operator's
   * permissions.
   */
  async queues(): Promise<Queues | undefined> {
    this.#requireOpen()
    return readQueues(this.#parts.broker)
  }

  /**
   * Jobs that wait for another attempt, those that failed first before the others, as they are found. One request
   * for each job that has failed, and no more than `selection.limit` jobs. Needs an operator's permissions.
   *
   * @throws {MillraceError} `invalid_job` for a selection that makes no sense; `topology_missing` and
   *   `broker_unreachable`.
   */
  retries(selection: RetrySelection = {}): AsyncGenerator<WaitingRetry[], void, undefined> {
    this.#requireOpen()
    checkRetrySelection(selection)
    return readRetries(this.#parts.broker, this.#parts.names, selection, this.#parts.requestMs)
  }

  /** The dead letters of the namespace: to look at, replay and discard. Needs an operator's permissions. */
  get deadLetters(): DeadLetters {
    this.#requireOpen()
    const { broker, names, requestMs } = this.#parts
    this.#deadLetters ??= new DeadLetters(broker, names, requestMs)
    return this.#deadLetters
  }

  /** Ends what waits with `client_closed` and closes the connection, unless it was given. Idempotent. */
  async close(): Promise<void> {
    this.#closed.abort(new MillraceError('client_closed', 'the client was closed'))
    await this.#parts.close()
  }

  #listen(jobId: string, handler: string | undefined, onProgress: (value: unknown) => void): () => void {
    const { broker, names } = this.#parts
    // A wildcard for several tokens can only stand at the end, and a handler's name may have several.
    const subject = handler === undefined ? names.eventSubjects : names.eventSubject(handler, 'progress')
    return broker.onEvent(subject, (at, text) => {
      if (!at.endsWith('.progress')) return
      const event = readEvent(text)
      if (event?.job_id === jobId) onProgress(event.value)
    })
  }

  async #control(key: string, value: string | undefined): Promise<void> {
    this.#requireOpen()
    await this.#parts.broker.setControl(key, value, this.#parts.requestMs)
  }

  #now(): number {
    return this.#parts.now?.() ?? Date.now()
  }

  #requireOpen(): void {
    this.#closed.signal.throwIfAborted()
  }
}

/** Whoever may publish can publish something else here; that is not ours to report. */
function readEvent(text: string): { job_id?: unknown; value?: unknown } | null {
  try {
    return JSON.parse(text) as { job_id?: unknown; value?: unknown } | null
  } catch {
    return null
  }
}
