export type { DeadLetterFilter, DeadLetterRecord, StoredDeadLetter } from '../core/dead-letter-record.ts'
export { type ErrorCode, MillraceError } from '../core/errors.ts'
export type { CompletedJob, DeadJob, JobOutcome } from '../core/job-outcome.ts'
export type { JobPosition } from '../core/job-position.ts'
export type { Priority } from '../core/names.ts'
export type { DeadReason } from '../core/verdict.ts'
export type { Whereabouts } from '../core/whereabouts.ts'
export type { Client } from './client.ts'
export { type ClientOptions, createClient } from './create-client.ts'
export type {
  DeadLetterProgress,
  DeadLetterSelection,
  DeadLetters,
  ReplayOptions,
} from './dead-letters.ts'
export type { EnqueueManyOptions, EnqueueManyReport, FailedJob, StoredJob } from './enqueue-many-options.ts'
export type { EnqueuedJob } from './enqueued-job.ts'
export type { AnyHandlers, HandlerName, JobOf, PayloadOf, ResultOf } from './handler-types.ts'
export type { EnqueueOptions, JobToEnqueue } from './new-job.ts'
export type { HandlerQueue, Queues } from './queues.ts'
export type { RetrySelection, WaitingRetry } from './retries.ts'
export type { ScheduleTick } from './schedule-tick.ts'
export type { WaitOptions } from './wait-for.ts'
