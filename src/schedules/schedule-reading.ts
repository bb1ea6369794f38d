import type { ScheduleOptions } from '../core/schedule.ts'
import { intervalRule, type TickSchedule } from '../core/tick-plan.ts'
import { readCron } from './cron-rule.ts'

/** A schedule that can be kept, or what is wrong with its pattern. */
export type ScheduleReading =
  | { readonly kind: 'schedule'; readonly schedule: TickSchedule }
  | { readonly kind: 'problem'; readonly problem: string }

/** Settles every option of a schedule whose shape has been checked. */
export function readSchedule(name: string, handler: string, options: ScheduleOptions): ScheduleReading {
  const settled = {
    name,
    handler,
    catchUp: options.catchUp ?? 'last',
    overlap: options.overlap ?? 'allow',
    jitterMs: options.jitterMs ?? 0,
    payload: options.payload === undefined ? undefined : JSON.stringify(options.payload),
  }
  if (!('cron' in options)) {
    return { kind: 'schedule', schedule: { ...settled, rule: intervalRule(options.everyMs) } }
  }
  const { cron, timeZone } = options
  const reading = readCron(cron, timeZone)
  if (reading.kind === 'rule') return { kind: 'schedule', schedule: { ...settled, rule: reading.rule } }
  return { kind: 'problem', problem: `cron ${JSON.stringify(cron)}: ${reading.problem}` }
}
