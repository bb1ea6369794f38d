export type { HistoryEntry } from '../core/history.ts'
export type { AttemptError, AttemptOutcome } from '../core/outcome.ts'
export type { DeadReason, Verdict } from '../core/verdict.ts'
export { assertEnqueued, assertNotEnqueued, type ExpectedJob } from './assert-enqueued.ts'
export type { LoggedLine } from './captured-context.ts'
export { startTestBroker, type TestBroker, type TestBrokerOptions } from './start-test-broker.ts'
export { type AttemptOptions, type AttemptReport, type RunningAttempt, testHandler } from './test-handler.ts'
export { createTestQueue, type DrainOptions, type TestQueue, type TestQueueOptions } from './test-queue.ts'
export type {
  CompletedTestJob,
  EnqueuedTestJob,
  TestAttempt,
  TestDeadLetter,
  TestLogLine,
} from './test-records.ts'
