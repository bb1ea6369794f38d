import { MillraceError } from '../core/errors.ts'
import { isHandlerName } from '../core/names.ts'
import { readDefinition } from '../core/read-definition.ts'
import type { TickSchedule } from '../core/tick-plan.ts'
import { readSchedule } from '../schedules/schedule-reading.ts'
import type { LoadedHandler } from '../threads/handler-import.ts'

/**
 * Reads a handler as its file exports it, the file's module included, and checks it as a supervisor does.
 *
 * @throws {MillraceError} `invalid_definition` with every problem.
 */
export function readHandler(name: string, given: unknown): LoadedHandler {
  if (!isHandlerName(name)) {
    throw new MillraceError(
      'invalid_definition',
      `a handler's name is made of letters, digits and hyphens, with dots between, got ${JSON.stringify(name)}`,
    )
  }
  const exported =
    Object(given) === given && 'default' in (given as object) ? (given as Module).default : given
  const definition = readDefinition(exported)
  if (definition.kind === 'problems') {
    throw new MillraceError('invalid_definition', `handler ${name}: ${definition.problems.join('; ')}`)
  }
  const { run, schema, options } = definition
  return { name, run, schema, options }
}

/**
 * The schedules of handlers that have one.
 *
 * @throws {MillraceError} `invalid_definition` for one that cannot be kept.
 */
export function schedulesOf(handlers: readonly LoadedHandler[]): TickSchedule[] {
  return handlers.flatMap(({ name, options }) => {
    if (!options.schedule) return []
    const reading = readSchedule(name, name, options.schedule)
    if (reading.kind === 'problem') {
      throw new MillraceError('invalid_definition', `handler ${name}: schedule.${reading.problem}`)
    }
    return [reading.schedule]
  })
}

interface Module {
  readonly default?: unknown
}
