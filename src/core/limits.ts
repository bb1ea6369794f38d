import type { RateLimit } from './handler-definition.ts'

/** Starts that were granted together: the latest instant at which they may happen, and how many. */
export type StartGrant = readonly [until: number, jobs: number]

/** What one supervisor has of a handler's `maxInFlight`, and lacks. */
export interface LimitMember {
  /** Attempts that it may have in flight; 0 when the handler has only a rate limit. */
  readonly permits: number
  /** Jobs for which it has neither a permit nor a start. */
  readonly waiting: number
  /** Rises with everything it writes: who is seen to write nothing for long is dead. */
  readonly beat: number
}

/** How much of its limits a handler has used up; all supervisors share one for each handler. */
export interface LimitRecord {
  readonly starts: readonly StartGrant[]
  /** By supervisor. */
  readonly inFlight: ReadonlyMap<string, LimitMember>
}

/** The limits of one handler, as the supervisor that asks has them. */
export interface Limits {
  readonly rate: RateLimit | undefined
  /** Infinite when there is none. */
  readonly maxInFlight: number
}

/** What one supervisor wants of a record. Instants are the broker's, in epoch milliseconds. */
export interface LimitAsk {
  readonly supervisor: string
  readonly beat: number
  /** Attempts that it has in flight. */
  readonly inFlight: number
  /** Jobs that would start now if the limits let them. */
  readonly ready: number
  /** Permits that it wants to have, with those it uses; at least `inFlight` + `ready`. */
  readonly wanted: number
  readonly now: number
  /** How far `now` can be off. */
  readonly errorMs: number
  /** What is granted starts within this, or never. */
  readonly startWithinMs: number
  /** Jobs that started later than they were granted for, and when the last of them did. */
  readonly late: { readonly jobs: number; readonly at: number }
  /** Supervisors whose permits are void. */
  readonly dead: ReadonlySet<string>
}

export interface LimitAnswer {
  /** To be written; only when that succeeds is anything granted. */
  readonly record: LimitRecord
  /** The record says something new, besides the beat. */
  readonly changed: boolean
  /** How many of the ready jobs start now. */
  readonly passing: number
  /** How many of them have to wait. */
  readonly refused: number
  /** Attempts that may be in flight here from now on. */
  readonly permits: number
  /** Above so many in flight, permits go back instead of to the next job: others are short of theirs. */
  readonly quota: number
  /** The record has something of this supervisor, so its beat has to be kept up. */
  readonly isMember: boolean
  /** When the next start comes free; undefined when one still is, or there is no rate limit. */
  readonly opensInMs: number | undefined
  /** When leftovers go to the next supervisor. */
  readonly turnEndsInMs: number
}

/** Leftovers that cannot be shared evenly go to another supervisor so often. */
export const turnMs = 1_000

/** A grant lies further ahead than this only when the broker's clock was put back. */
const aheadMs = 10_000
/** Grants within this share of `perMs` are kept as one, so that a record stays small. */
const grainsPerWindow = 64

export const emptyRecord: LimitRecord = { starts: [], inFlight: new Map() }

/**
 * Decides what a supervisor gets of a handler's limits. Pure: two that ask at the same time get the same, and
 * only the one that writes first keeps it.
 *
 * - No span of `perMs` has more than `jobs` starts: a grant counts from the moment it is made until `perMs`
 *   after the latest instant at which it may be used. A job that started later than that counts once more.
 * - The permits of all supervisors never add up to more than `maxInFlight`, as far as their limits agree.
 * - Supervisors that want more than there is get equal parts; what cannot be split goes round by turns.
 */
export function askLimits(record: LimitRecord, limits: Limits, ask: LimitAsk): LimitAnswer {
  const others = [...record.inFlight].filter(([id]) => id !== ask.supervisor && !ask.dead.has(id))
  const turn = Math.floor(ask.now / turnMs)
  const window = rateWindow(record.starts, limits.rate, ask)
  const quota = quotaOf(limits.maxInFlight, others, ask, turn)
  let passing = Math.min(ask.ready, Math.max(0, quota - ask.inFlight))
  if (limits.rate) {
    const claims = others.map(([id, { waiting }]) => [id, waiting] as const)
    const shares = shareOut([...claims, [ask.supervisor, passing]], window.free, turn)
    passing = shares.get(ask.supervisor)!
  }
  const permits = permitsOf(limits, ask, quota, passing)
  const mine: LimitMember = { permits, waiting: ask.ready - passing, beat: ask.beat }
  const inFlight = new Map(others)
  const isMember = mine.permits > 0 || mine.waiting > 0
  if (isMember) inFlight.set(ask.supervisor, mine)
  const until = ask.now + ask.startWithinMs + ask.errorMs
  const starts = limits.rate ? withGrant(window.starts, [until, passing], limits.rate) : window.starts
  const before = record.inFlight.get(ask.supervisor)
  const isNew = mine.permits !== (before?.permits ?? 0) || mine.waiting !== (before?.waiting ?? 0)
  return {
    record: { starts, inFlight },
    changed: passing > 0 || isNew || window.isNew,
    passing,
    refused: mine.waiting,
    permits,
    quota,
    isMember,
    opensInMs: limits.rate && passing >= window.free ? opensInMs(starts, limits.rate, ask) : undefined,
    turnEndsInMs: (turn + 1) * turnMs - ask.now,
  }
}

/**
 * Shares `total` out among claims: evenly, nobody more than its claim. A rest that is too small for everybody
 * goes, one each, to those whose turn it is, so that over time nobody is left out.
 */
export function shareOut(
  claims: readonly (readonly [id: string, claim: number])[],
  total: number,
  turn: number,
): Map<string, number> {
  const shares = new Map(claims.map(([id]) => [id, 0]))
  let rest = Math.max(0, Math.floor(total))
  let open = claims.filter(([, claim]) => claim > 0).sort(([a], [b]) => (a < b ? -1 : 1))
  while (open.length > 0 && rest >= open.length) {
    const part = Math.floor(rest / open.length)
    for (const [id, claim] of open) {
      const more = Math.min(part, claim - shares.get(id)!)
      shares.set(id, shares.get(id)! + more)
      rest -= more
    }
    open = open.filter(([id, claim]) => claim > shares.get(id)!)
  }
  for (let index = 0; index < open.length && rest > 0; index += 1, rest -= 1) {
    const [id] = open[(turn + index) % open.length]!
    shares.set(id, shares.get(id)! + 1)
  }
  return shares
}

/** How many attempts a supervisor may have in flight, once the others have their fair part. */
function quotaOf(
  maxInFlight: number,
  others: readonly (readonly [string, LimitMember])[],
  ask: LimitAsk,
  turn: number,
): number {
  if (maxInFlight === Number.POSITIVE_INFINITY) return maxInFlight
  const claims = others.map(([id, { permits, waiting }]) => [id, permits + waiting] as const)
  const shares = shareOut([...claims, [ask.supervisor, ask.wanted]], maxInFlight, turn)
  const taken = others.reduce((sum, [id, { permits }]) => sum + Math.max(permits, shares.get(id)!), 0)
  return Math.max(0, maxInFlight - taken)
}

/** What runs needs its permits whatever happens. With a rate limit nothing is kept for the next job: it asks anyway. */
function permitsOf(limits: Limits, ask: LimitAsk, quota: number, passing: number): number {
  if (limits.maxInFlight === Number.POSITIVE_INFINITY) return 0
  if (limits.rate) return ask.inFlight + passing
  return Math.max(ask.inFlight, Math.min(ask.wanted, quota))
}

interface RateWindow {
  readonly starts: readonly StartGrant[]
  readonly free: number
  /** It has something that is not in the record: late starts, or the broker's clock was put back. */
  readonly isNew: boolean
}

function rateWindow(
  granted: readonly StartGrant[],
  rate: RateLimit | undefined,
  { now, errorMs, late }: LimitAsk,
): RateWindow {
  if (!rate) return { starts: granted, free: Number.POSITIVE_INFINITY, isNew: false }
  // Grants of a later time than there is would count for as long as the clock was put back.
  const setBack = granted.some(([until]) => until > now + aheadMs)
  const counted = granted
    .map(([until, jobs]): StartGrant => [until > now + aheadMs ? now : until, jobs])
    .filter(([until]) => until + rate.perMs + errorMs > now)
  const starts = withGrant(counted, [late.at + errorMs, late.jobs], rate)
  const free = Math.max(0, rate.jobs - starts.reduce((sum, [, jobs]) => sum + jobs, 0))
  return { starts, free, isNew: setBack || late.jobs > 0 }
}

function opensInMs(starts: readonly StartGrant[], rate: RateLimit, { now, errorMs }: LimitAsk): number {
  return Math.min(...starts.map(([until]) => until)) + rate.perMs + errorMs - now
}

/** Grants of about the same time become one, which counts as long as the later of them. */
function withGrant(
  starts: readonly StartGrant[],
  [until, jobs]: StartGrant,
  rate: RateLimit,
): readonly StartGrant[] {
  if (jobs === 0) return starts
  const grain = (at: number): number => Math.floor(at / (rate.perMs / grainsPerWindow))
  const same = starts.find(([other]) => grain(other) === grain(until))
  if (!same) return [...starts, [until, jobs]]
  const merged: StartGrant = [Math.max(same[0], until), same[1] + jobs]
  return starts.map((grant) => (grant === same ? merged : grant))
}

export function formatRecord({ starts, inFlight }: LimitRecord): string {
  return JSON.stringify({ starts, inFlight: Object.fromEntries(inFlight) })
}

/** What is no record counts as an empty one: the next write replaces it. */
export function parseRecord(text: string | undefined): LimitRecord {
  if (text === undefined) return emptyRecord
  try {
    const { starts, inFlight } = JSON.parse(text) as { starts: unknown; inFlight: unknown }
    if (!Array.isArray(starts) || !starts.every(isGrant)) return emptyRecord
    const members = Object.entries(inFlight as Record<string, unknown>)
    return members.every(isMember) ? { starts, inFlight: new Map(members) } : emptyRecord
  } catch {
    return emptyRecord
  }
}

function isGrant(value: unknown): value is StartGrant {
  return Array.isArray(value) && value.length === 2 && Number.isFinite(value[0]) && isCount(value[1])
}

function isMember(entry: [string, unknown]): entry is [string, LimitMember] {
  const { permits, waiting, beat } = entry[1] as Record<string, unknown>
  return isCount(permits) && isCount(waiting) && isCount(beat)
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
