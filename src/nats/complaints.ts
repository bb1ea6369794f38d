import { errors } from '@nats-io/transport-node'
import { isRefusal } from './first-connection.ts'

/** What a complaint of the server denies us, if anything. */
export function refusedBy(error: Error): 'credentials' | 'permission' | null {
  if (error instanceof errors.PermissionViolationError) return 'permission'
  return isRefusal(error) ? 'credentials' : null
}

/** An ack has no answer; who must not publish it hears of that by the way. */
export function refusesAck(error: Error): boolean {
  return error instanceof errors.PermissionViolationError && error.subject.startsWith('$JS.ACK.')
}

/** What a parser throws quotes what it could not read, which may be a payload: the same without any of that. */
export function withoutBytes(problem: unknown): Error {
  const { name, message, stack = '' } = problem instanceof Error ? problem : new Error()
  const [where = name] = /^parse error \[\d+\]/.exec(message) ?? []
  const error = new Error(`what the NATS server sent could not be read (${where})`)
  error.stack = [
    `Error: ${error.message}`,
    ...(stack.replace(message, '').match(/^ {4}at .+:\d+:\d+\)?$/gm) ?? []),
  ].join('\n')
  return error
}
