import { MillraceError } from '../core/errors.ts'
import { readDefinition } from '../core/read-definition.ts'
import type { LoadedHandler } from '../threads/handler-import.ts'

/**
 * Reads a handler as its file exports it, the file's module included, and checks it as a supervisor does.
 *
 * @throws {MillraceError} `invalid_definition` with every problem.
 */
export function readHandler(name: string, given: unknown): LoadedHandler {
  const exported =
    Object(given) === given && 'default' in (given as object) ? (given as Module).default : given
  const definition = readDefinition(exported)
  if (definition.kind === 'problems') {
    throw new MillraceError('invalid_definition', `handler ${name}: ${definition.problems.join('; ')}`)
  }
  const { run, schema, options } = definition
  return { name, run, schema, options }
}

interface Module {
  readonly default?: unknown
}
