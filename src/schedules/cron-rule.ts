import { Cron } from 'croner'
import type { TickRule } from '../core/tick-plan.ts'
import { ZoneClock } from './zone-clock.ts'

/** A pattern with its rule, or why it is none. */
export type CronReading =
  | { readonly kind: 'rule'; readonly rule: TickRule }
  | { readonly kind: 'problem'; readonly problem: string }

/** Reads a cron pattern: five fields, or six with seconds first. */
export function readCron(pattern: string, timeZone = 'UTC'): CronReading {
  // Croner takes `?` for "every day" beside a day of week, and either is enough: `0 0 ? * MON` would be daily.
  const fields = pattern
    .trim()
    .split(/\s+/)
    .map((field) => (field === '?' ? '*' : field))
  // Croner takes an instant for a pattern, too.
  if (!pattern.trim().startsWith('@') && fields.length !== 5 && fields.length !== 6) {
    return { kind: 'problem', problem: 'it must have five fields, or six with seconds first' }
  }
  try {
    const rule = createRule(fields, timeZone)
    if (rule.next(0) !== undefined) return { kind: 'rule', rule }
    return { kind: 'problem', problem: 'there is no such date' }
  } catch (error) {
    return { kind: 'problem', problem: (error as Error).message.replace(/^CronPattern: /, '') }
  }
}

/**
 * Croner evaluates the pattern on the dial, and `ZoneClock` says at which instant the dial shows that. Its
 * own time zones are not used: near a change of the clocks what it answers depends on where one begins to
 * look, "every minute" pauses for the hour that is repeated, and away from one it takes 300 µs instead of 10.
 */
function createRule(fields: readonly string[], timeZone: string): TickRule {
  const pattern = fields.join(' ')
  const cron = new Cron(pattern, { utcOffset: 0, mode: '5-or-6-parts' })
  const nextOnDial = (after: number): number | undefined => cron.nextRun(new Date(after))?.getTime()
  if (timeZone === 'UTC') return { next: nextOnDial }
  const clock = new ZoneClock(timeZone)
  const isEveryHour = pattern === '@hourly' || fields.at(-4) === '*'
  return {
    next: (after) =>
      isEveryHour ? nextInRealTime(after, nextOnDial, clock) : nextOfFixedHours(after, nextOnDial, clock),
  }
}

type Dial = (after: number) => number | undefined

/** A pattern for every hour goes on whatever the clocks do: the offset in force counts until it changes. */
function nextInRealTime(after: number, nextOnDial: Dial, clock: ZoneClock): number | undefined {
  let from = after
  let offset = clock.offsetAt(after)
  for (;;) {
    const shown = nextOnDial(from + offset)
    if (shown === undefined) return undefined
    const found = shown - offset
    const change = clock.firstChange(from, found, offset)
    if (change === undefined) return found
    from = change - 1
    offset = clock.offsetAt(change)
  }
}

/**
 * A pattern for certain hours comes once for each time on the dial: later by as much when the clocks leave
 * that time out, the first time when they repeat it. The order on the dial is therefore not the order in
 * time, and all times are looked at that could be the next.
 */
function nextOfFixedHours(after: number, nextOnDial: Dial, clock: ZoneClock): number | undefined {
  let best: number | undefined
  for (let shown = after + Math.min(...clock.offsetsAround(after)); ; ) {
    const next = nextOnDial(shown)
    if (next === undefined) return best
    shown = next
    const found = clock.instantOf(shown)
    if (found > after && (best === undefined || found < best)) best = found
    if (best !== undefined && shown - Math.max(...clock.offsetsAround(best)) >= best) return best
  }
}
