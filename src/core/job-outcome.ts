import { isRecord } from './field-checks.ts'
import { headerTextWithin } from './header-text.ts'
import type { AttemptError } from './outcome.ts'
import { type DeadReason, deadReasons } from './verdict.ts'

/** What a handler with `result: true` returned, as its thread encoded it. */
export type ReturnedValue =
  /** Undefined when it returned nothing. */
  | { readonly kind: 'json'; readonly json: string | undefined }
  /** It cannot be kept. The error quotes nothing of it. */
  | { readonly kind: 'unusable'; readonly error: AttemptError }

/** How a job ended, as it is kept for whoever asks. */
export type JobOutcome<Result = unknown> = CompletedJob<Result> | DeadJob

/** A job whose handler returned. */
export interface CompletedJob<Result = unknown> extends JobEnd {
  readonly kind: 'completed'
  /** What the handler returned; undefined when that was nothing, or `error` says why it is not kept. */
  readonly result: Result | undefined
}

/** A job that was given up on. */
export interface DeadJob extends JobEnd {
  readonly kind: 'dead'
  readonly reason: DeadReason
}

interface JobEnd {
  readonly jobId: string
  readonly handler: string
  /** Attempts that ran; 0 for a job that never did. */
  readonly attempts: number
  /** When it ended. */
  readonly at: Date
  /** Of a dead job its last error; of a completed one why its result is not kept. */
  readonly error: { readonly code: string; readonly message: string } | undefined
}

/** What is known of a job when it ends. */
export interface EndedJobFacts {
  readonly jobId: string
  readonly handler: string
  readonly attempts: number
  /** Epoch milliseconds. */
  readonly at: number
}

/** The entry of a job that completed; `returned` is undefined when its thread ended before it could tell. */
export function encodeCompleted(job: EndedJobFacts, returned: ReturnedValue | undefined): string {
  const json = returned?.kind === 'json' ? returned.json : undefined
  const error = returned?.kind === 'unusable' ? returned.error : undefined
  const entry = JSON.stringify({ ...entryOf(job, 'completed'), ...errorOf(error) })
  // The result is JSON already, and may be large: it is not parsed and written again.
  return json === undefined ? entry : `${entry.slice(0, -1)},"result":${json}}`
}

/** The entry of a job that became a dead letter. */
export function encodeDead(job: EndedJobFacts, reason: DeadReason, error: AttemptError | undefined): string {
  return JSON.stringify({ ...entryOf(job, 'dead'), reason, ...errorOf(error) })
}

/** Reads an entry; undefined when it is none of ours. */
export function decodeOutcome(text: string): JobOutcome | undefined {
  let entry: unknown
  try {
    entry = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!isRecord(entry)) return undefined
  const { job_id: jobId, handler, attempts, at, outcome, reason, error } = entry
  if (typeof jobId !== 'string' || typeof handler !== 'string' || Number.isNaN(Date.parse(String(at))))
    return undefined
  const end: JobEnd = {
    jobId,
    handler,
    attempts: Number.isSafeInteger(attempts) ? (attempts as number) : 0,
    at: new Date(String(at)),
    error: readError(error),
  }
  if (outcome === 'completed') return { kind: 'completed', ...end, result: entry['result'] }
  const why = deadReasons.find((known) => known === reason)
  return outcome === 'dead' && why ? { kind: 'dead', ...end, reason: why } : undefined
}

function readError(value: unknown): JobEnd['error'] {
  if (!isRecord(value)) return undefined
  const { code, message } = value
  return typeof code === 'string' && typeof message === 'string' ? { code, message } : undefined
}

function entryOf(job: EndedJobFacts, outcome: 'completed' | 'dead'): Record<string, unknown> {
  const { jobId, handler, attempts, at } = job
  return { job_id: jobId, handler, outcome, attempts, at: new Date(at).toISOString() }
}

function errorOf(error: AttemptError | undefined): { error?: { code: string; message: string } } {
  if (!error) return {}
  return { error: { code: headerTextWithin(error.code, 64), message: headerTextWithin(error.message, 1024) } }
}
