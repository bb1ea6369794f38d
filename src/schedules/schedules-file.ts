import { readFileSync } from 'node:fs'
import { MillraceError } from '../core/errors.ts'
import { FieldChecks, isRecord } from '../core/field-checks.ts'
import { isHandlerName } from '../core/names.ts'
import { nearestName } from '../core/nearest-name.ts'
import { checkSchedule, type ScheduleOptions, scheduleFields } from '../core/schedule.ts'
import type { TickSchedule } from '../core/tick-plan.ts'
import { readSchedule } from './schedule-reading.ts'

/**
 * Reads the file that `MILLRACE_SCHEDULES` names: a JSON array of schedules, each with `name` and `handler`
 * beside the fields of a handler's own schedule.
 *
 * @throws {MillraceError} `invalid_settings` with every problem on a line of its own.
 */
export function readSchedulesFile(path: string, handlers: readonly string[]): TickSchedule[] {
  const entries = parse(path)
  const checks = new FieldChecks()
  const schedules: TickSchedule[] = []
  const names = new Set<string>()
  for (const [index, entry] of entries.entries()) {
    const before = checks.problems.length
    if (!isRecord(entry)) {
      checks.refuse(`[${index}]`, 'an object with name, handler and cron or everyMs', entry)
      continue
    }
    const { name, handler, ...rest } = entry
    const label = typeof name === 'string' ? `[${index}] ${JSON.stringify(name)}` : `[${index}]`
    if (typeof name !== 'string' || !isHandlerName(name)) {
      checks.refuse(`[${index}].name`, 'letters, digits and - in parts that dots join', name)
    } else if (names.has(name)) checks.problems.push(`${label}: the name stands twice`)
    else names.add(name)
    checkHandler(label, handler, handlers, checks)
    checks.known(label, entry, ['name', 'handler', ...scheduleFields])
    checkSchedule(pick(rest, scheduleFields), label, checks)
    if (checks.problems.length > before) continue
    const reading = readSchedule(name as string, handler as string, rest as unknown as ScheduleOptions)
    if (reading.kind === 'schedule') schedules.push(reading.schedule)
    else checks.problems.push(`${label}: ${reading.problem}`)
  }
  if (checks.problems.length > 0) throw schedulesFileError(path, checks.problems)
  return schedules
}

function checkHandler(
  label: string,
  handler: unknown,
  handlers: readonly string[],
  checks: FieldChecks,
): void {
  if (typeof handler !== 'string') checks.refuse(`${label}.handler`, 'the name of a handler', handler)
  else if (!handlers.includes(handler)) {
    const nearest = nearestName(handler, handlers)
    checks.problems.push(
      `${label}: there is no handler ${JSON.stringify(handler)}${nearest === null ? '' : `, did you mean ${nearest}?`}`,
    )
  }
}

function parse(path: string): unknown[] {
  let content: unknown
  try {
    content = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw schedulesFileError(path, [(error as Error).message], error)
  }
  if (!Array.isArray(content)) throw schedulesFileError(path, ['it must be a JSON array of schedules'])
  return content
}

/** The problems of the file, as one error. */
export function schedulesFileError(
  path: string,
  problems: readonly string[],
  cause?: unknown,
): MillraceError {
  const lines = problems.map((problem) => `\n  ${problem}`).join('')
  return new MillraceError('invalid_settings', `MILLRACE_SCHEDULES: ${path} is wrong:${lines}`, { cause })
}

function pick(from: Record<string, unknown>, fields: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(from).filter(([field]) => fields.includes(field)))
}
