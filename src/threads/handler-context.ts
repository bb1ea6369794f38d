import { createRequire } from 'node:module'
import type { AbortCode, HandlerContext, Job, JobLogger } from '../core/handler-definition.ts'
import { AbortReason } from './abort-reason.ts'
import type { ThreadJob } from './thread-job.ts'
import { writeLine } from './thread-output.ts'

/** The context of one attempt. What a handler does not touch is never made. */
export class AttemptContext implements HandlerContext {
  readonly #job: ThreadJob
  #public: Job | undefined
  #controller: AbortController | undefined
  #logger: JobLogger | undefined

  constructor(job: ThreadJob) {
    this.#job = job
  }

  get job(): Job {
    this.#public ??= this.#job.describe()
    return this.#public
  }

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController()
      if (this.#job.abortCode) this.#controller.abort(new AbortReason(this.#job.abortCode))
    }
    return this.#controller.signal
  }

  get deadlineAt(): Date {
    return new Date(this.#job.startedAtMs + this.#job.deadlineMs)
  }

  get tick(): Date | undefined {
    const instant = this.job.headers['millrace-tick']
    return instant === undefined ? undefined : new Date(instant)
  }

  get logger(): JobLogger {
    this.#logger ??= threadLogger(this.#job.logLevel).child(this.#job.logFields())
    return this.#logger
  }

  progress(value: unknown): void {
    this.#job.sayProgress(value)
  }

  /** Called by the lane when the supervisor says so. */
  abort(code: AbortCode): void {
    this.#controller?.abort(new AbortReason(code))
  }
}

let logger: JobLogger | undefined

// pino costs 18 ms and some memory to load, so a thread does it when a handler first logs.
function threadLogger(level: string): JobLogger {
  if (!logger) {
    const pino = createRequire(import.meta.url)('pino') as typeof import('pino')
    logger = pino.pino({ level, base: null }, { write: writeLine }) as unknown as JobLogger
  }
  return logger
}
