import type { ErrorCode } from '../core/errors.ts'

/** How the supervisor's process ends. The numbers are those of `sysexits.h`, and contract. */
export const exitCodes = {
  clean: 0,
  usage: 64,
  /** The broker could not be reached, or cannot serve us, within `MILLRACE_STARTUP_MS`. A restart may help. */
  brokerUnreachable: 69,
  internal: 70,
  /** The supervisor is healthy enough to say that it should be replaced. */
  restartWanted: 75,
  notPermitted: 77,
  /** A restart does not help before someone changes a setting or a file. */
  configuration: 78,
} as const

/** One of the exit codes of `start`. */
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]

const codeOf: { readonly [Code in ErrorCode]?: ExitCode } = {
  invalid_settings: exitCodes.configuration,
  invalid_definition: exitCodes.configuration,
  handler_import_failed: exitCodes.configuration,
  handlers_missing: exitCodes.configuration,
  topology_missing: exitCodes.configuration,
  topology_conflict: exitCodes.configuration,
  not_permitted: exitCodes.notPermitted,
  broker_unreachable: exitCodes.brokerUnreachable,
  broker_request_failed: exitCodes.brokerUnreachable,
  // The server is there and answers; enabling JetStream on it and restarting us is enough.
  jetstream_disabled: exitCodes.brokerUnreachable,
  server_not_found: exitCodes.brokerUnreachable,
}

/** The exit code for an error that ended the supervisor. Whatever we did not foresee is internal. */
export function exitCodeOf(error: unknown): ExitCode {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
  return typeof code === 'string' && Object.hasOwn(codeOf, code)
    ? (codeOf[code as ErrorCode] ?? exitCodes.internal)
    : exitCodes.internal
}
