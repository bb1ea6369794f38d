import type { PlainHeaders } from './job-headers.ts'

/** How far a tick has come; all supervisors see the same. */
export const tickStates = ['new', 'claimed', 'published', 'skipped', 'missed'] as const
/**
 * `new`: the schedule was seen for the first time then. `claimed`: somebody is about to publish the job.
 * `published`: the job is stored. `skipped`: the job of an earlier tick was not settled. `missed`: passed
 * over, because nobody was there in time.
 */
export type TickState = (typeof tickStates)[number]

/** Which job stands for a tick. */
export interface TickedJob {
  /** Epoch milliseconds. */
  readonly instant: number
  /** Its place in the job stream. */
  readonly sequence: number
}

/** The one record of a schedule that all supervisors share. */
export interface TickRecord {
  /** Epoch milliseconds. Ticks up to here are decided; nobody publishes them any more, unless it is `claimed`. */
  readonly instant: number
  readonly state: TickState
  /** Who wrote it. */
  readonly supervisor: string
  /** Whose jobs the ticks are. */
  readonly handler?: string
  /** The body of each job, JSON; null for an empty one. Missing in records of older versions, and when too long. */
  readonly payload?: string | null
  /** The jobs of the newest published ticks, oldest first. */
  readonly jobs: readonly TickedJob[]
}

/** So many jobs of earlier ticks stay on record. */
const jobsKept = 64
/** JSON in JSON: quotes may double it, and a record has to fit into a message where its job just does. */
const payloadKept = 100_000

/** What a record says of the payload of its schedule; undefined when it would make the record too large. */
export function payloadOnRecord(payload: string | undefined): string | null | undefined {
  if (payload === undefined) return null
  return payload.length > payloadKept ? undefined : payload
}

/** The record of a schedule that nobody has seen before. */
export function firstRecord(now: number, supervisor: string): TickRecord {
  return { instant: now, state: 'new', supervisor, jobs: [] }
}

/** The record once a later tick is decided, or claimed. */
export function advanced(
  record: TickRecord,
  instant: number,
  state: 'claimed' | 'skipped' | 'missed',
  supervisor: string,
): TickRecord {
  return { instant, state, supervisor, jobs: record.jobs }
}

/** The record once the job of the claimed tick is known. */
export function published(record: TickRecord, sequence: number): TickRecord {
  const jobs = [...record.jobs, { instant: record.instant, sequence }].slice(-jobsKept)
  return { ...record, state: 'published', jobs }
}

/**
 * Whether the job at `sequence` is the one that stands for its tick.
 *
 * The message id keeps most second jobs of a tick out of the stream, but the broker forgets ids after its
 * duplicate window, and those of acked jobs when it restarts. So a claimer that was held up, or whoever
 * completed its tick, may have stored a second one. Whichever is looked at first while the tick is claimed
 * is `first` and has to be written down. After that the record knows, and for ticks that are no longer on
 * it, order does: a tick is claimed only after the job of the one before is on record, so a job behind that
 * of a later tick was published too late.
 */
export function judgeTickJob(
  record: TickRecord | undefined,
  instant: number,
  sequence: number,
): 'run' | 'first' | 'duplicate' {
  if (!record || record.instant < instant) return 'run'
  if (record.instant === instant && record.state === 'claimed') return 'first'
  const own = record.jobs.find((job) => job.instant === instant)
  if (own) return own.sequence === sequence ? 'run' : 'duplicate'
  const later = record.jobs.find((job) => job.instant > instant)
  return later && sequence > later.sequence ? 'duplicate' : 'run'
}

/** The id of a tick's job. */
export function tickId(schedule: string, instant: number): string {
  return `tick:${schedule}:${new Date(instant).toISOString()}`
}

/** The id of a job that somebody asked for besides the ticks; nothing takes it for the job of a tick. */
export function extraRunId(schedule: string, instant: number): string {
  return `run:${schedule}:${new Date(instant).toISOString()}`
}

/** The headers by which a handler knows which schedule a job is of, and the instant that it stands for. */
export function tickHeaders(schedule: string, instant: number): readonly (readonly [string, string])[] {
  return [
    ['Millrace-Tick', new Date(instant).toISOString()],
    ['Millrace-Schedule', schedule],
  ]
}

/** Which tick a job was published for; undefined for every other job, also for one that has moved since. */
export function tickOfJob(headers: PlainHeaders): { schedule: string; instant: number } | undefined {
  const schedule = headers['millrace-schedule']
  const tick = headers['millrace-tick']
  if (schedule === undefined || tick === undefined || headers['millrace-job-id'] !== undefined)
    return undefined
  const instant = Date.parse(tick)
  if (Number.isNaN(instant) || headers['nats-msg-id'] !== tickId(schedule, instant)) return undefined
  return { schedule, instant }
}
