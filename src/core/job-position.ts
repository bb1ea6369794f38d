import { isRecord } from './field-checks.ts'
import type { AbortCode } from './handler-definition.ts'
import { readWhereabouts, type Whereabouts } from './whereabouts.ts'

/** Where a job is on the supervisor that holds it. */
export interface JobPosition {
  readonly jobId: string
  readonly handler: string
  /** The one that runs; of a held job the next. */
  readonly attempt: number
  readonly maxAttempts: number
  readonly supervisor: string
  /** `held`: it was delivered to this supervisor, and waits there for its turn. */
  readonly state: 'running' | 'held'
  /** Of the thread; undefined while it is held. */
  readonly thread: number | undefined
  /** Since the attempt began; undefined while it is held. */
  readonly elapsedMs: number | undefined
  readonly deadlineMs: number
  /** Why the attempt was told to stop, when it was. */
  readonly abort: AbortCode | undefined
  /** Undefined while it is held. */
  readonly where: Whereabouts | undefined
}

/** What supervisors are asked for it. */
export const whereQuestion = 'where'

const states = ['running', 'held'] as const
const abortCodes = ['deadline', 'shutdown', 'lease_lost', 'cancelled'] as const satisfies readonly AbortCode[]

/** The position as JSON, in the words of `millrace where --json`. */
export function encodePosition(position: JobPosition): string {
  return JSON.stringify(positionRow(position))
}

/** One flat object, null for what there is not. */
export function positionRow(position: JobPosition) {
  return {
    job_id: position.jobId,
    handler: position.handler,
    attempt: position.attempt,
    max_attempts: position.maxAttempts,
    supervisor: position.supervisor,
    thread: position.thread ?? null,
    state: position.state,
    elapsed_ms: position.elapsedMs ?? null,
    deadline_ms: position.deadlineMs,
    abort: position.abort ?? null,
    where: position.where ?? null,
  }
}

/** Reads what somebody answered as a position; undefined when it is none. */
export function decodePosition(json: string): JobPosition | undefined {
  const row = parse(json)
  if (!isRecord(row)) return undefined
  const text = (name: string): string | undefined => (typeof row[name] === 'string' ? row[name] : undefined)
  const number = (name: string): number | undefined =>
    typeof row[name] === 'number' && Number.isFinite(row[name]) ? row[name] : undefined
  const state = states.find((known) => known === row['state'])
  const [jobId, handler, supervisor] = [text('job_id'), text('handler'), text('supervisor')]
  if (state === undefined || jobId === undefined || handler === undefined || supervisor === undefined)
    return undefined
  return {
    jobId,
    handler,
    supervisor,
    state,
    attempt: number('attempt') ?? 0,
    maxAttempts: number('max_attempts') ?? 0,
    thread: number('thread'),
    elapsedMs: number('elapsed_ms'),
    deadlineMs: number('deadline_ms') ?? 0,
    abort: abortCodes.find((known) => known === row['abort']),
    where: readWhereabouts(row['where']),
  }
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}
