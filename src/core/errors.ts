/**
 * Every code that a Millrace error, a dead letter or a log line can carry, with its meaning.
 * `docs/errors.md` explains each one; a test compares that page with this list both ways.
 */
export const errorCodes = {
  // How an attempt ended.
  handler_error: 'the handler threw an error that has no code of its own',
  non_error_thrown: 'the handler threw something that is not an Error, such as null or a string',
  permanent_failure: 'the handler threw PermanentFailure',
  retry_later: 'the handler threw RetryLater',
  deadline_exceeded: 'the attempt was still running at its deadline',
  thread_exit: 'the handler called process.exit',
  thread_died: 'the thread ended while the attempt ran on it',
  out_of_memory: 'the thread reached its memory limit',
  uncaught_exception: 'a callback of the attempt threw where nothing could catch it',
  unhandled_rejection: 'a promise of the attempt was rejected and nothing awaited it',
  process_crash:
    'an earlier delivery ended without a record: the process died, or its link to the broker did',
  // Why a job never ran, or was not run to its end.
  invalid_header: 'a Millrace header cannot be understood',
  invalid_utf8: 'the payload is not valid UTF-8',
  invalid_json: 'the payload is not valid JSON',
  invalid_payload: "the payload does not match the handler's schema",
  expired: 'the job was not started before Millrace-Expires-At',
  cancelled: 'somebody cancelled the job',
  // Why a job that completed has no result.
  result_too_large: 'what the handler returned is larger than MILLRACE_RESULT_MAX_BYTES',
  result_not_json: 'what the handler returned is nothing that JSON can hold',
  // What a client and the command line can meet.
  invalid_job: 'a job, a name of a handler or an id of a job cannot be what a client was given',
  invalid_arguments: 'a command line cannot be understood',
  payload_too_large: 'the payload is larger than the job stream or the server accepts',
  stream_full: 'the job stream has as many jobs or bytes as it may hold',
  drain_unfinished: 'a test queue still had jobs to run after everything that drain was allowed',
  wait_timeout: 'the job has not ended within the time that a client waits for it',
  client_closed: 'the client was closed before it had an answer',
  // Why a handler or a supervisor cannot work.
  invalid_settings: 'settings are missing, unknown or out of bounds',
  invalid_definition: 'a handler file exports something that is not a handler',
  handler_import_failed: 'a handler file cannot be imported',
  handlers_missing: 'the handlers folder does not exist or holds no handler',
  broker_unreachable: 'no NATS server answers at the configured address',
  jetstream_disabled: 'the NATS server answers, but JetStream is not enabled for this account',
  not_permitted: 'the NATS server refuses the credentials or a subject',
  topology_missing: 'a stream, consumer or bucket is missing, and nobody here may create it',
  topology_conflict:
    'a stream or consumer exists with a configuration that cannot be changed to what is needed',
  broker_request_failed: 'the NATS server did not carry out a request',
  server_not_found: 'no nats-server binary was found and none could be obtained',
  internal: 'a defect in Millrace',
} as const

/** One of the codes listed in `docs/errors.md`. */
export type ErrorCode = keyof typeof errorCodes

/** The base of every error that Millrace throws. Match on `code`, never on the text or the class. */
export class MillraceError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'MillraceError'
    this.code = code
  }
}

/**
 * Throw this from a handler when trying again cannot help: the job becomes a dead letter at once,
 * with reason `permanent`. Recognised by its `code`, so an error of your own with
 * `code: 'permanent_failure'` works as well.
 */
export class PermanentFailure extends Error {
  readonly code = 'permanent_failure'

  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'PermanentFailure'
  }
}

/**
 * Throw this from a handler to be attempted again after `delayMs` instead of the backoff's delay,
 * for example because a server said `Retry-After`. It counts as an attempt.
 */
export class RetryLater extends Error {
  readonly code = 'retry_later'
  /** From now until the next attempt, in milliseconds; at least 0. */
  readonly delayMs: number

  /** @throws {RangeError} when `delayMs` is not a finite number of at least 0. */
  constructor(options: { delayMs: number; message?: string; cause?: unknown }) {
    super(options.message ?? `retry in ${options.delayMs} ms`, { cause: options.cause })
    this.name = 'RetryLater'
    this.delayMs = checkDelay('RetryLater', options.delayMs)
  }
}

/**
 * Throw this from a handler that has nothing to do yet: the job comes back after `delayMs`, and the
 * attempt does not count. A handler that always snoozes never ends.
 */
export class Snooze extends Error {
  readonly code = 'snooze'
  /** From now until the job comes back, in milliseconds; at least 0. */
  readonly delayMs: number

  /** @throws {RangeError} when `delayMs` is not a finite number of at least 0. */
  constructor(options: { delayMs: number; message?: string }) {
    super(options.message ?? `snoozed for ${options.delayMs} ms`)
    this.name = 'Snooze'
    this.delayMs = checkDelay('Snooze', options.delayMs)
  }
}

function checkDelay(what: string, delayMs: number): number {
  if (typeof delayMs === 'number' && Number.isFinite(delayMs) && delayMs >= 0) return delayMs
  throw new RangeError(
    `${what}: delayMs must be a number of milliseconds of at least 0, got ${String(delayMs)}`,
  )
}
