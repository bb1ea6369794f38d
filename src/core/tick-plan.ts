import type { CatchUp, Overlap } from './schedule.ts'

/** Which instants a schedule has. */
export interface TickRule {
  /** The first instant after `after`, both in epoch milliseconds; undefined when there is none. */
  next(after: number): number | undefined
}

/** A schedule with every option settled. */
export interface TickSchedule {
  readonly name: string
  readonly handler: string
  readonly rule: TickRule
  readonly catchUp: CatchUp
  readonly overlap: Overlap
  readonly jitterMs: number
  /** The body of each job, JSON; undefined for an empty one. */
  readonly payload: string | undefined
}

/** A tick that is no later than this is published whatever `catchUp` says, if somebody was there at its time. */
export const lateLimitMs = 10_000
/** With `catchUp: 'all'`, so many ticks are made up for at most, the newest. */
export const catchUpLimit = 1_000
/** Missed ticks are counted up to here. */
export const countLimit = 10_000

/** What a supervisor sees when it looks at a schedule; epoch milliseconds. */
export interface TickView {
  /** The newest instant that is decided. */
  readonly cursor: number
  readonly now: number
  /** Since when this supervisor has watched the schedule. */
  readonly watchedSince: number
  /** False while others may still publish what became due before we came. */
  readonly mayJudge: boolean
  /** Missed ticks up to here are to be made up for: a judgement of before that still holds. */
  readonly madeUpTo: number
}

/** The next thing to do for a schedule. */
export type TickStep =
  /** Nothing is due before `until`; undefined when nothing ever will be. */
  | { readonly kind: 'wait'; readonly until: number | undefined }
  /** Ticks were missed, and others may be about to publish them. */
  | { readonly kind: 'hold' }
  /** Publish this one, and pass over `missed` ticks before it. */
  | {
      readonly kind: 'publish'
      readonly instant: number
      readonly missed: number
      /** See `TickView`. */
      readonly madeUpTo: number
    }
  /** Publish none of `missed` ticks, of which this is the last. */
  | { readonly kind: 'pass'; readonly instant: number; readonly missed: number }

/**
 * Decides what a supervisor does next for a schedule: which tick is due, and what becomes of those that
 * were missed.
 *
 * A tick is on time when this supervisor was there at its instant and it is at most 10 s late; it is
 * published. Anything older was missed, and `catchUp` says what becomes of it. Time that steps back never
 * brings a tick again, because only what is after the cursor counts.
 */
export function planTick(schedule: TickSchedule, view: TickView): TickStep {
  const { rule, catchUp, jitterMs } = schedule
  const { cursor, now } = view
  const first = rule.next(cursor)
  if (first === undefined) return { kind: 'wait', until: undefined }
  const dueAt = first + jitterOf(schedule, first)
  if (dueAt > now) return { kind: 'wait', until: dueAt }
  // A tick with jitter is nobody's duty before the end of its jitter.
  const onTimeFrom = Math.max(view.watchedSince, now - lateLimitMs) - jitterMs
  if (first >= onTimeFrom || first <= view.madeUpTo) {
    return { kind: 'publish', instant: first, missed: 0, madeUpTo: view.madeUpTo }
  }
  if (!view.mayJudge) return { kind: 'hold' }
  // Never empty: the first one is among them.
  const missed = newestInstants(rule, cursor, onTimeFrom - 1, countLimit)
  const last = missed.at(-1)!
  if (catchUp === 'none') return { kind: 'pass', instant: last, missed: missed.length }
  const madeUp = catchUp === 'last' ? 1 : catchUpLimit
  const from = Math.max(0, missed.length - madeUp)
  return { kind: 'publish', instant: missed[from]!, missed: from, madeUpTo: last }
}

/** The ticks at the multiples of `everyMs` since the Unix epoch; they do not drift. */
export function intervalRule(everyMs: number): TickRule {
  return { next: (after) => (Math.floor(after / everyMs) + 1) * everyMs }
}

/**
 * How much later than its instant a tick is published: between 0 and `jitterMs`, for every supervisor the
 * same.
 */
export function jitterOf(schedule: Pick<TickSchedule, 'name' | 'jitterMs'>, instant: number): number {
  if (schedule.jitterMs === 0) return 0
  return Math.floor((hash(`${schedule.name} ${instant}`) / 2 ** 32) * (schedule.jitterMs + 1))
}

/** FNV-1a, mixed once more because texts that differ only at their ends stay near each other. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let at = 0; at < text.length; at += 1) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193)
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35)
  return (value ^ (value >>> 16)) >>> 0
}

const firstSpanMs = 60_000

/**
 * The newest instants after `after` and up to `until`, at most `limit`, in order. Looks back in growing
 * spans, because counting from a cursor that is a year old could take minutes.
 */
export function newestInstants(rule: TickRule, after: number, until: number, limit: number): number[] {
  for (let spanMs = firstSpanMs; ; spanMs *= 2) {
    const from = Math.max(after, until - spanMs)
    const found: number[] = []
    for (let at = rule.next(from); at !== undefined && at <= until; at = rule.next(at)) found.push(at)
    if (from === after || found.length >= limit) return found.slice(-limit)
  }
}
