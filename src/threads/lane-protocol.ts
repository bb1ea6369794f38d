import type { AbortCode, HandlerOptions } from '../core/handler-definition.ts'
import type { ReturnedValue } from '../core/job-outcome.ts'
import type { Outcome } from '../core/outcome.ts'
import type { SpanPlace } from '../core/span-place.ts'

/**
 * What a supervisor and one of its threads say to each other.
 *
 * 1. The supervisor writes `posted` into a job's cell of the shared table and sends a batch of jobs.
 * 2. The thread claims each job by exchanging `posted` for `started`, with the instant beside it.
 *    The supervisor takes a job back by exchanging `posted` for `taken`. Only one of them wins. A job whose lease has
 *    run out is not begun, whatever holds the supervisor up: the thread exchanges `posted` for `late`, and says so.
 * 3. A job that completed is marked `done` at once, with its run time beside it; its result follows in the next batch
 *    of results, if no other job blocks the thread before. If one does, the supervisor ends it by exchanging `done` for
 *    `taken`; until then the thread exchanges it for `started` when the job left a rejection behind.
 * 4. A job that is about to end its thread is marked `culprit`.
 * 5. A job whose signal was aborted is marked `signalled` by the thread, and while the first synchronous
 *    code of a job runs, `current` names its slot.
 *
 * What a handler with `result: true` returned is sent at once, before its job is marked `done`: the mark says
 * that the value is on its way or there.
 *
 * So after a kill the table tells which jobs had begun, which had finished without having been
 * reported, and who is to blame. A cell holds a ticket beside the phase, because a slot is used again
 * while an entry that was taken back may still lie in the thread's mailbox.
 */
export const phases = {
  free: 0,
  posted: 1,
  started: 2,
  done: 3,
  taken: 4,
  culprit: 5,
  signalled: 6,
  late: 7,
} as const
export type Phase = (typeof phases)[keyof typeof phases]

/** A cell's value: 28 bits of ticket, 3 of phase. */
export function cell(ticket: number, phase: Phase): number {
  return (ticket << 3) | phase
}

export function phaseOf(value: number): Phase {
  return (value & 7) as Phase
}

export function ticketOf(value: number): number {
  return value >>> 3
}

export const ticketLimit = 2 ** 28

/**
 * The shared table of one lane: for each slot a cell, how long its job's lease lasts, when the job began, and how long
 * it ran if it is done.
 */
export interface LaneTable {
  readonly buffer: SharedArrayBuffer
  readonly cells: Int32Array
  /** On the clock of `monotonicMs`. */
  readonly startedAt: Float64Array
  readonly durationMs: Float64Array
  /** On the clock of `monotonicMs`, as far as the supervisor knows. */
  readonly leaseUntil: Float64Array
  /** One number: 1 + the slot of the job whose first synchronous code is running, or 0. */
  readonly current: Int32Array
}

export function createTable(slots: number): LaneTable {
  return openTable(new SharedArrayBuffer(slots * 28 + 4), slots)
}

export function openTable(buffer: SharedArrayBuffer, slots: number): LaneTable {
  return {
    buffer,
    startedAt: new Float64Array(buffer, 0, slots),
    durationMs: new Float64Array(buffer, slots * 8, slots),
    leaseUntil: new Float64Array(buffer, slots * 16, slots),
    cells: new Int32Array(buffer, slots * 24, slots),
    current: new Int32Array(buffer, slots * 28, 1),
  }
}

/** The numbers that describe a job in a batch, in the order in which they are written. */
export const fields = {
  slot: 0,
  ticket: 1,
  handler: 2,
  /** Where the payload begins in the batch's bytes. */
  offset: 3,
  length: 4,
  json: 5,
  attempt: 6,
  maxAttempts: 7,
  deadlineMs: 8,
  /** Epoch milliseconds; infinite when the job does not expire. */
  expiresAt: 9,
  sequence: 10,
  /** Epoch milliseconds. */
  enqueuedAt: 11,
  redelivered: 12,
  /** The position of its priority in `priorities`. */
  level: 13,
} as const
export const fieldCount = 14
/** How many numbers come before those of the first job: how many jobs there are. */
export const headCount = 1

/** A job's parts that are not numbers; most jobs have none. */
export interface JobExtras {
  readonly id: string | undefined
  readonly headers: Readonly<Record<string, string>>
}

/** Supervisor to thread: jobs of which some have extras. */
export interface JobsWithExtras {
  readonly buffer: ArrayBuffer
  /** By position in the batch. */
  readonly extras: (JobExtras | undefined)[]
}

/**
 * Supervisor to thread: jobs. The buffer holds how many, `fieldCount` numbers for each, then all payloads. It is the
 * whole message where no job has extras, because an object around it would take a thread longer to read than the rest.
 */
export type JobBatch = ArrayBuffer | JobsWithExtras

/** Supervisor to thread: abort one job's signal. */
export interface AbortRequest {
  readonly kind: 'abort'
  readonly slot: number
  readonly ticket: number
  readonly code: AbortCode
}

export type ToThread = JobBatch | AbortRequest

/** Thread to supervisor: all handlers are imported, or why some are not. */
export interface ReadyMessage {
  readonly kind: 'ready'
  readonly threadId: number
  readonly faults: HandlerFault[]
  /** It makes a span of every attempt. */
  readonly traces: boolean
}

/** Thread to supervisor: ended attempts; none of them when it only says that it gets on again. */
export interface ResultBatch {
  readonly kind: 'results'
  /** slot and ticket of each completed job, one after the other; how long it ran is in the table. */
  readonly completed: number[]
  readonly others: EndedJob[]
  /** Some jobs were not begun, because their leases had run out; their cells say which. */
  readonly late?: boolean
  /** Of replayed jobs, whose settlement cannot find it by their headers; undefined when there are none. */
  readonly spans?: readonly ReportedSpan[]
}

/** The span that a thread made of an attempt. */
export interface ReportedSpan {
  readonly slot: number
  readonly ticket: number
  readonly place: SpanPlace
}

export interface EndedJob {
  readonly slot: number
  readonly ticket: number
  readonly durationMs: number
  readonly outcome: Outcome
}

/** Thread to supervisor: something that a finished job left behind threw; the thread should be replaced. */
export interface LeakMessage {
  readonly kind: 'leak'
  readonly handler: string | undefined
  readonly jobId: string | undefined
  readonly attempt: number | undefined
  readonly code: 'uncaught_exception' | 'unhandled_rejection' | 'thread_exit'
  readonly message: string
}

/** Thread to supervisor: how far a job is. */
export interface ProgressMessage {
  readonly kind: 'progress'
  readonly handler: string
  readonly jobId: string
  readonly attempt: number
  /** JSON. */
  readonly value: string
}

/** Thread to supervisor: what the handler of a job returned, ahead of the job's end. */
export interface ReturnedMessage {
  readonly kind: 'returned'
  readonly slot: number
  readonly ticket: number
  readonly value: ReturnedValue
}

export type FromThread = ReadyMessage | ResultBatch | LeakMessage | ProgressMessage | ReturnedMessage

/** A handler file, as found in the folder. */
export interface HandlerFile {
  readonly name: string
  /** A file URL. */
  readonly url: string
}

/** Why a handler cannot be used. */
export interface HandlerFault {
  readonly name: string
  readonly code: 'handler_import_failed' | 'invalid_definition'
  readonly message: string
  /** Where the file threw, `<path>:<line>:<column>`, if it did and that is known. */
  readonly at?: string
}

/** What a catalog thread says about one handler. */
export type CatalogEntry =
  | { readonly kind: 'begin'; readonly name: string }
  | { readonly kind: 'handler'; readonly name: string; readonly options: HandlerOptions }
  | ({ readonly kind: 'fault' } & HandlerFault)

/** What Piscina hands to the thread's entry. */
export interface LaneTask {
  readonly port: import('node:worker_threads').MessagePort
  readonly table: SharedArrayBuffer
  readonly slots: number
  /** Jobs at once. */
  readonly concurrency: number
  /** A job names its handler by its place in this list; those of other pools are left out. */
  readonly handlers: readonly (HandlerFile | undefined)[]
  readonly namespace: string
  readonly supervisorId: string
  readonly logLevel: string
  /** The most bytes of JSON that a handler's result may have. */
  readonly resultMaxBytes: number
}
