import { type FieldChecks, isRecord } from './field-checks.ts'

/** What becomes of ticks that nobody could publish in time, because no supervisor was there. */
export const catchUps = ['none', 'last', 'all'] as const
export type CatchUp = (typeof catchUps)[number]

/** Whether a tick is published while the job of the one before is not settled. */
export const overlaps = ['allow', 'skip'] as const
export type Overlap = (typeof overlaps)[number]

interface ScheduleCommon {
  /**
   * What is made up for after a time without any supervisor: nothing, the last tick that was missed, or
   * all of them up to a bound.
   * @default 'last'
   */
  catchUp?: CatchUp
  /**
   * Each tick is published up to so much later, by an amount that is drawn from the schedule's name and
   * the instant, so that schedules of the same minute do not all start at once. `ctx.tick` stays the instant.
   * @default 0
   */
  jitterMs?: number
  /**
   * With `skip` there is no job for a tick while the job of an earlier tick is not settled.
   * @default 'allow'
   */
  overlap?: Overlap
  /** The body of each job, anything that JSON can hold; without it the body is empty. */
  payload?: unknown
}

/** Ticks at the instants of a cron pattern: five fields, or six with seconds first. */
export interface CronSchedule extends ScheduleCommon {
  cron: string
  /** An IANA name such as `Europe/Berlin`. @default 'UTC' */
  timeZone?: string
}

/** Ticks at the multiples of `everyMs` since the Unix epoch, on every supervisor the same. */
export interface IntervalSchedule extends ScheduleCommon {
  /** At least 100. */
  everyMs: number
}

/** A rule in time by which jobs of a handler are published. */
export type ScheduleOptions = CronSchedule | IntervalSchedule

/** The fields of a schedule besides where it is declared. */
export const scheduleFields = [
  'cron',
  'timeZone',
  'everyMs',
  'catchUp',
  'jitterMs',
  'overlap',
  'payload',
] as const

const leastEveryMs = 100

/**
 * Checks the shape of a schedule; problems name the field below `path`. Whether a cron pattern means
 * something is for the cron library to say.
 */
export function checkSchedule(schedule: unknown, path: string, checks: FieldChecks): void {
  if (!isRecord(schedule)) {
    checks.refuse(path, 'an object with cron or everyMs', schedule)
    return
  }
  checks.known(path, schedule, scheduleFields)
  const { cron, everyMs, timeZone } = schedule
  if ((cron === undefined) === (everyMs === undefined)) {
    checks.problems.push(`${path} must have either cron or everyMs`)
  }
  if (cron !== undefined && typeof cron !== 'string') checks.refuse(`${path}.cron`, 'a cron pattern', cron)
  checks.number(`${path}.everyMs`, everyMs, leastEveryMs, true)
  if (timeZone !== undefined) {
    if (everyMs !== undefined) checks.problems.push(`${path}.timeZone needs cron: everyMs has no time zone`)
    if (typeof timeZone !== 'string' || !isTimeZone(timeZone))
      checks.refuse(`${path}.timeZone`, 'an IANA time zone such as Europe/Berlin', timeZone)
  }
  checks.oneOf(`${path}.catchUp`, schedule['catchUp'], catchUps)
  checks.oneOf(`${path}.overlap`, schedule['overlap'], overlaps)
  checks.number(`${path}.jitterMs`, schedule['jitterMs'], 0, true)
  if (!isJson(schedule['payload']))
    checks.problems.push(`${path}.payload must be something that JSON can hold`)
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}

function isJson(value: unknown): boolean {
  if (value === undefined) return true
  try {
    return JSON.stringify(value) !== undefined
  } catch {
    return false
  }
}
