import { format } from 'node:util'
import type { AbortCode, HandlerContext, Job, JobLogger } from '../core/handler-definition.ts'
import { AbortReason } from '../threads/abort-reason.ts'

/** What a handler said through `ctx.logger`. */
export interface LoggedLine {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal'
  readonly message: string
  /** Those of the line and of the child loggers that it was written through. */
  readonly fields: Readonly<Record<string, unknown>>
}

/** Where a context puts what its handler says. */
export interface ContextSink {
  logged(line: LoggedLine): void
  /** `value` is what JSON makes of it. */
  progressed(value: unknown): void
}

/** The context of an attempt that runs in this thread. */
export class CapturedContext implements HandlerContext {
  readonly job: Job
  readonly deadlineAt: Date
  readonly logger: JobLogger
  readonly #controller = new AbortController()
  readonly #sink: ContextSink

  constructor(job: Job, deadlineAt: Date, sink: ContextSink) {
    this.job = job
    this.deadlineAt = deadlineAt
    this.logger = capture(sink, {})
    this.#sink = sink
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  get tick(): Date | undefined {
    const instant = this.job.headers['millrace-tick']
    return instant === undefined ? undefined : new Date(instant)
  }

  progress(value: unknown): void {
    const json: string | undefined = JSON.stringify(value)
    if (json === undefined) throw new TypeError(`progress takes what JSON can hold, got a ${typeof value}`)
    this.#sink.progressed(JSON.parse(json))
  }

  /** Tells the handler to stop; the second time changes nothing. */
  abort(code: AbortCode): void {
    if (!this.signal.aborted) this.#controller.abort(new AbortReason(code))
  }
}

/** As pino reads its arguments: fields first or none, then a message with values for its placeholders. */
function capture(sink: ContextSink, bound: Readonly<Record<string, unknown>>): JobLogger {
  const write =
    (level: LoggedLine['level']) =>
    (first: unknown, ...rest: unknown[]): void => {
      const isText = typeof first === 'string'
      const fields = isText ? {} : first instanceof Error ? { err: first } : Object(first)
      const message = isText ? format(first, ...rest) : rest.length > 0 ? format(...rest) : ''
      sink.logged({ level, message, fields: { ...bound, ...fields } })
    }
  return {
    trace: write('trace'),
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    fatal: write('fatal'),
    child: (fields) => capture(sink, { ...bound, ...fields }),
  }
}
