import type { PayloadOf, ResultOf } from '../client/handler-types.ts'
import { composeJob } from '../client/new-job.ts'
import { readSettings } from '../config/settings.ts'
import type { AbortCode, Job } from '../core/handler-definition.ts'
import { isJsonType } from '../core/job-headers.ts'
import { namesFor } from '../core/names.ts'
import { type AttemptError, type AttemptOutcome, timedOut, underAbort } from '../core/outcome.ts'
import { decideVerdict, type Verdict } from '../core/verdict.ts'
import { profileOf } from '../runtime/handler-profiles.ts'
import { CapturedContext, type LoggedLine } from './captured-context.ts'
import { readHandler } from './given-handler.ts'
import { type LocalEnd, runLocally } from './local-attempt.ts'

/** The job of an attempt in a unit test. Every field is optional. */
export interface AttemptOptions {
  /** @default 'job-1' */
  id?: string | undefined
  /** The handler's name. @default 'test' */
  handler?: string | undefined
  /** Counts from 1. @default 1 */
  attempt?: number | undefined
  /** @default what the handler's definition says, or else 5 */
  maxAttempts?: number | undefined
  /** @default now */
  enqueuedAt?: Date | undefined
  /** Names in any case. */
  headers?: Readonly<Record<string, string>> | undefined
  /** The instant that a scheduled job stands for. */
  tick?: Date | undefined
  /** @default what the handler's definition says, or else 30000 */
  deadlineMs?: number | undefined
  /** @default what the handler's definition says, or else 500 */
  graceMs?: number | undefined
}

/** How an attempt ended, and what Millrace would do next. */
export interface AttemptReport<Result = unknown> {
  /** `invalid` when the payload does not match the schema: the handler was not run then. */
  readonly outcome: AttemptOutcome | 'invalid'
  /** What the handler returned. */
  readonly result: Result | undefined
  /** As a log line and a dead letter would have it. */
  readonly error: AttemptError | undefined
  /** What was thrown, itself. */
  readonly thrown: unknown
  /** The job is acked, retried after a delay (the longest that its backoff can draw), given back, or a dead letter. */
  readonly verdict: Verdict
  readonly logs: readonly LoggedLine[]
  /** What the handler passed to `ctx.progress`. */
  readonly progress: readonly unknown[]
}

/** An attempt that runs: await it for its report, or tell it to stop before. */
export interface RunningAttempt<Result = unknown> extends Promise<AttemptReport<Result>> {
  /** Aborts `ctx.signal`; its reason has this code. The attempt goes on until the handler ends it, or its grace is over. */
  abort(code: AbortCode): void
}

/**
 * Runs one attempt of a handler in this thread, as its thread would: the payload goes through JSON and the schema,
 * the signal aborts at the deadline, and what the handler throws is read as in production. Never rejects because of
 * what a handler does.
 *
 * After the deadline, or an `abort`, and the grace, the attempt is reported although the handler still runs: a worker
 * thread would be killed, this one cannot be. A handler that blocks this thread blocks the test.
 *
 * @throws {MillraceError} `invalid_definition` when it is no handler; `invalid_job` for a payload, a name or headers
 *   that no job can have.
 */
export function testHandler<Handler>(
  handler: Handler,
  payload: PayloadOf<{ test: Handler }, 'test'>,
  options: AttemptOptions = {},
): RunningAttempt<ResultOf<{ test: Handler }, 'test'>> {
  const { handler: name = 'test', attempt = 1 } = options
  const loaded = readHandler(name, handler)
  const profile = profileOf(name, loaded.options, readSettings({ environment: {} }).settings)
  const { deadlineMs = profile.deadlineMs, graceMs = profile.graceMs } = options
  const { maxAttempts = profile.retry.maxAttempts } = options
  const { job, bytes } = arrive(name, payload, options, maxAttempts)
  const logs: LoggedLine[] = []
  const progress: unknown[] = []
  const context = new CapturedContext(job, new Date(Date.now() + deadlineMs), {
    logged: (line) => logs.push(line),
    progressed: (value) => progress.push(value),
  })
  const limit = new AttemptLimit(context, deadlineMs, graceMs)

  const report = async (): Promise<AttemptReport<ResultOf<{ test: Handler }, 'test'>>> => {
    const running = runLocally(loaded, context, bytes, isJsonType(job.headers['content-type']))
    const end = await Promise.race([running, limit.over])
    limit.clear()
    const outcome = underAbort(end.outcome, limit.code, deadlineMs)
    const policy = { maxAttempts, backoff: profile.retry.backoff }
    return {
      outcome: outcome.kind as AttemptOutcome | 'invalid',
      result: outcome.kind === 'completed' ? (end.value as ResultOf<{ test: Handler }, 'test'>) : undefined,
      error: 'error' in outcome ? outcome.error : undefined,
      thrown: end.thrown,
      verdict: decideVerdict(outcome, attempt, policy, () => 1),
      logs,
      progress,
    }
  }
  return Object.assign(report(), { abort: (code: AbortCode) => limit.abort(code) })
}

/** The job, and its payload, as they would come from the broker. */
function arrive(
  name: string,
  payload: unknown,
  options: AttemptOptions,
  maxAttempts: number,
): { job: Job; bytes: Uint8Array } {
  const { id = 'job-1', attempt = 1, enqueuedAt = new Date(), tick } = options
  const given = { id, headers: options.headers }
  const { headers: entries, subject, data } = composeJob(namesFor('jobs'), name, payload, given, Date.now())
  const headers = Object.fromEntries(entries.map(([key, value]) => [key.toLowerCase(), value]))
  if (tick) headers['millrace-tick'] = tick.toISOString()
  const redelivered = attempt > 1
  return {
    job: { id, handler: name, attempt, maxAttempts, enqueuedAt, headers, subject, sequence: 1, redelivered },
    bytes: typeof data === 'string' ? Buffer.from(data) : data,
  }
}

/** Tells an attempt to stop, at its deadline or before, and gives it up after its grace. */
class AttemptLimit {
  /** Resolves when nobody waits for the handler any more. */
  readonly over: Promise<LocalEnd>
  code: AbortCode | undefined
  readonly #context: CapturedContext
  readonly #graceMs: number
  readonly #timers: NodeJS.Timeout[] = []
  #giveUp = (): void => {}
  #cleared = false

  constructor(context: CapturedContext, deadlineMs: number, graceMs: number) {
    this.#context = context
    this.#graceMs = graceMs
    this.over = new Promise((resolve) => {
      this.#giveUp = () => resolve({ outcome: timedOut(deadlineMs), value: undefined, thrown: undefined })
    })
    this.#timers.push(setTimeout(() => this.abort('deadline'), deadlineMs))
  }

  abort(code: AbortCode): void {
    if (this.code !== undefined || this.#cleared) return
    this.code = code
    this.#timers.push(setTimeout(this.#giveUp, this.#graceMs))
    this.#context.abort(code)
  }

  /** It has ended: nothing is to be told to it any more. */
  clear(): void {
    this.#cleared = true
    for (const timer of this.#timers) clearTimeout(timer)
  }
}
