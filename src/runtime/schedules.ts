import type { TickSchedule } from '../core/tick-plan.ts'
import { readSchedule } from '../schedules/schedule-reading.ts'
import { schedulesFileError } from '../schedules/schedules-file.ts'
import type { CatalogedHandler } from '../threads/handler-catalog.ts'
import type { HandlerFault } from '../threads/lane-protocol.ts'

/** All schedules of a supervisor, and the handlers that remain usable. */
export interface GatheredSchedules {
  readonly schedules: readonly TickSchedule[]
  readonly usable: readonly CatalogedHandler[]
  readonly faults: readonly HandlerFault[]
}

/**
 * Puts the schedules of the handlers beside those of the file. A handler whose own schedule cannot be kept
 * is not used at all, as with any other mistake in its definition.
 *
 * @throws {MillraceError} `invalid_settings` when the file declares one under the name of a handler that
 * has its own.
 */
export function gatherSchedules(
  handlers: readonly CatalogedHandler[],
  declared: readonly TickSchedule[],
  file: string | null,
): GatheredSchedules {
  const own: TickSchedule[] = []
  const usable: CatalogedHandler[] = []
  const faults: HandlerFault[] = []
  for (const handler of handlers) {
    const { name } = handler.file
    const { schedule: options } = handler.options
    const reading = options && readSchedule(name, name, options)
    if (reading?.kind === 'problem') {
      faults.push({ name, code: 'invalid_definition', message: `schedule.${reading.problem}` })
      continue
    }
    if (reading) own.push(reading.schedule)
    usable.push(handler)
  }
  const twice = declared.filter(({ name }) => own.some((schedule) => schedule.name === name))
  if (twice.length > 0) {
    throw schedulesFileError(
      file!,
      twice.map(({ name }) => `the handler ${name} has a schedule of its own: give this one another name`),
    )
  }
  return { schedules: [...own, ...declared], usable, faults }
}
