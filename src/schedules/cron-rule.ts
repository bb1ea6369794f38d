import { Cron } from 'croner'
import type { TickRule } from '../core/tick-plan.ts'
import { ZoneOffset } from './zone-offset.ts'

/** After a change of the clocks, an hour may be the repetition of another for so long. */
const afterChangeMs = 3 * 3_600_000
/** Nowhere do the clocks change twice within this. */
const quietMs = 48 * 3_600_000
const minuteMs = 60_000

/** A pattern with its rule, or why it is none. */
export type CronReading =
  | { readonly kind: 'rule'; readonly rule: TickRule }
  | { readonly kind: 'problem'; readonly problem: string }

/** Reads a cron pattern: five fields, or six with seconds first. */
export function readCron(pattern: string, timeZone = 'UTC'): CronReading {
  const fields = pattern.trim().split(/\s+/)
  // Croner takes an instant for a pattern, too.
  if (!pattern.trim().startsWith('@') && fields.length !== 5 && fields.length !== 6) {
    return { kind: 'problem', problem: 'it must have five fields, or six with seconds first' }
  }
  try {
    const rule = createRule(pattern.trim(), fields, timeZone)
    if (rule.next(0) !== undefined) return { kind: 'rule', rule }
    return { kind: 'problem', problem: 'there is no such date' }
  } catch (error) {
    return { kind: 'problem', problem: (error as Error).message.replace(/^CronPattern: /, '') }
  }
}

/**
 * Croner knows time zones, and where the clocks change its answer is taken: what falls into an hour that is
 * left out comes once, right after it by as much; what falls into an hour that is repeated comes in the
 * first of the two. Two things are done otherwise. A pattern for every hour goes on through both hours,
 * because "every minute" must not pause for an hour. And away from a change the pattern is evaluated at a
 * fixed offset, which takes 10 µs instead of 300.
 */
function createRule(pattern: string, fields: readonly string[], timeZone: string): TickRule {
  const mode = '5-or-6-parts'
  const fixed = new Cron(pattern, { utcOffset: 0, mode })
  const nextAt = (after: number, offset: number): number | undefined => {
    const found = fixed.nextRun(new Date(after + offset))
    return found ? found.getTime() - offset : undefined
  }
  if (timeZone === 'UTC') return { next: (after) => nextAt(after, 0) }

  const zone = new ZoneOffset(timeZone)
  const zoned = new Cron(pattern, { timezone: timeZone, mode })
  const everyHour = pattern === '@hourly' || fields.at(-4) === '*'

  /** Real time: the offset that is in force counts, up to the instant at which it changes. */
  const nextThroughChanges = (after: number): number | undefined => {
    let from = after
    let offset = zone.at(after)
    for (;;) {
      const found = nextAt(from, offset)
      if (found === undefined) return undefined
      const change = zone.firstChange(from, found, offset)
      if (change === undefined) return found
      from = change - 1
      offset = zone.at(change)
    }
  }

  /** In a repeated hour croner answers with an instant of the first pass, which may be over. */
  const nextOfCroner = (after: number): number | undefined => {
    for (let from = after; ; from = endOfMinute(from)) {
      const found = zoned.nextRun(new Date(from))?.getTime()
      if (found === undefined || found > after) return found
    }
  }

  return {
    next(after) {
      const offset = zone.at(after)
      const found = nextAt(after, offset)
      if (found === undefined) return undefined
      const quiet =
        found - after <= quietMs && zone.at(found) === offset && zone.at(after - afterChangeMs) === offset
      if (quiet) return found
      return everyHour ? nextThroughChanges(after) : nextOfCroner(after)
    },
  }
}

/** The last millisecond of a minute: of this one, or of the next if this is it. */
function endOfMinute(instant: number): number {
  return (Math.floor((instant + 1) / minuteMs) + 1) * minuteMs - 1
}
