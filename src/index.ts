export type { Backoff } from './core/backoff.ts'
export { type ErrorCode, MillraceError, PermanentFailure, RetryLater, Snooze } from './core/errors.ts'
export {
  type AbortCode,
  defineHandler,
  type HandlerContext,
  type HandlerDefinition,
  type HandlerFunction,
  type Job,
  type JobLogger,
  type PoolName,
  type RateLimit,
  type RetryOptions,
  type StandardSchema,
} from './core/handler-definition.ts'
export type { CatchUp, CronSchedule, IntervalSchedule, Overlap, ScheduleOptions } from './core/schedule.ts'
