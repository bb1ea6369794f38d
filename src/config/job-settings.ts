import { milliseconds, wholeNumber } from './kinds.ts'
import type { SettingRow } from './row.ts'

/** What the settings of this file hold, by option name. */
export interface JobValues {
  deadlineMs: number
  graceMs: number
  maxAttempts: number
  backoffBaseMs: number
  backoffMaxMs: number
  ackWaitMs: number
  drainMs: number
  deadlineLimitMs: number
  attemptsLimit: number
  resultTtlMs: number
  resultMaxBytes: number
}

const dayMs = 86_400_000

/** How a job is run, tried again and given up on, where its handler and its headers do not say otherwise. */
export const jobSettings: { readonly [Name in keyof JobValues]: SettingRow<JobValues[Name]> } = {
  deadlineMs: {
    variable: 'MILLRACE_DEADLINE_MS',
    kind: milliseconds(10, 7 * dayMs),
    default: { value: () => 30_000, reason: 'longer than any healthy request, shorter than a patient user' },
    meaning: 'How long one attempt may run before it is stopped.',
    tooLow: 'healthy attempts are stopped and tried again, which adds load when things are slow already',
    tooHigh: 'a stuck attempt keeps its thread for that long',
  },
  graceMs: {
    variable: 'MILLRACE_GRACE_MS',
    kind: milliseconds(0, 600_000),
    default: { value: () => 500, reason: 'enough to abort a request and close a connection' },
    meaning: 'From the abort signal to the kill of the thread.',
    tooLow: 'a handler that listens to its signal is killed while it cleans up',
    tooHigh: 'a handler that does not listen keeps its thread for longer, and a stop takes longer',
  },
  maxAttempts: {
    variable: 'MILLRACE_MAX_ATTEMPTS',
    kind: wholeNumber(1, 1_000),
    default: {
      value: () => 5,
      reason: 'with the default backoff, up to 15 seconds of trouble are ridden out',
    },
    meaning: 'Attempts in all, the first one included, before a job becomes a dead letter.',
    tooLow: 'a short outage of a dependency turns jobs into dead letters',
    tooHigh: 'a job that can never succeed takes up slots for days before anyone hears of it',
  },
  backoffBaseMs: {
    variable: 'MILLRACE_BACKOFF_BASE_MS',
    kind: milliseconds(0, dayMs),
    default: { value: () => 1_000, reason: 'most passing faults are over within seconds' },
    meaning: 'The longest delay after the first failed attempt; it doubles with each further one.',
    tooLow: 'all attempts are used up within one short outage',
    tooHigh: 'a fault of a moment delays the job for that long',
  },
  backoffMaxMs: {
    variable: 'MILLRACE_BACKOFF_MAX_MS',
    kind: milliseconds(0, 30 * dayMs),
    default: { value: () => 300_000, reason: 'work resumes within minutes of the end of a long outage' },
    meaning: 'No delay between attempts is longer than this.',
    tooLow: 'many failing jobs keep hitting a dependency that is down',
    tooHigh: 'jobs go on waiting long after the dependency is back',
  },
  ackWaitMs: {
    variable: 'MILLRACE_ACK_WAIT_MS',
    kind: milliseconds(1_000, dayMs),
    default: { value: () => 30_000, reason: 'survives a restart of the broker, which takes seconds' },
    meaning:
      'The lease: after this long without a heartbeat the broker hands the job to someone else. Heartbeats come at every third of it, so it may well be shorter than a deadline.',
    tooLow: 'a broken link of seconds makes jobs run twice',
    tooHigh: 'the jobs of a supervisor that died wait for that long',
  },
  drainMs: {
    variable: 'MILLRACE_DRAIN_MS',
    kind: milliseconds(0, dayMs),
    default: { value: () => 20_000, reason: "with grace and closing it fits Kubernetes' 30 seconds" },
    meaning: 'At a stop, how long running jobs may finish before they are interrupted and released.',
    tooLow: 'each deployment interrupts jobs that would have finished, and they start again elsewhere',
    tooHigh: 'whatever runs the process kills it first, and its jobs come back only when their leases expire',
  },
  deadlineLimitMs: {
    variable: 'MILLRACE_DEADLINE_LIMIT_MS',
    kind: milliseconds(10, 7 * dayMs),
    default: { value: () => dayMs, reason: 'no header can hold a thread for more than a day' },
    meaning: 'The longest deadline that a job may ask for with Millrace-Deadline-Ms; more is clamped to it.',
    tooLow: 'jobs that need long are stopped although they said so',
    tooHigh: 'whoever may enqueue can hold a thread for that long',
  },
  attemptsLimit: {
    variable: 'MILLRACE_ATTEMPTS_LIMIT',
    kind: wholeNumber(1, 1_000),
    default: { value: () => 100, reason: 'no header can make a hopeless job immortal' },
    meaning: 'The most attempts that a job may ask for with Millrace-Max-Attempts; more is clamped to it.',
    tooLow: 'jobs get fewer attempts than they asked for',
    tooHigh: 'whoever may enqueue can keep a failing job going for that many attempts',
  },
  resultTtlMs: {
    variable: 'MILLRACE_RESULT_TTL_MS',
    kind: milliseconds(1_000, 365 * dayMs),
    default: { value: () => dayMs, reason: 'whoever waits for a result asks within the day' },
    meaning: 'For how long the outcomes of jobs whose handlers have `result: true` are kept.',
    tooLow: 'a result is gone before it is asked for',
    tooHigh: 'the broker keeps the results of all these jobs for that long: their number times their size',
  },
  resultMaxBytes: {
    variable: 'MILLRACE_RESULT_MAX_BYTES',
    kind: wholeNumber(1, 64 * 1024 * 1024),
    default: { value: () => 65_536, reason: 'results are answers, not files' },
    meaning:
      "The most bytes of JSON that a result may have, at most the server's max_payload less 16 KiB; a job with a larger one completes without it.",
    tooLow: 'results are refused that somebody waits for',
    tooHigh: 'the broker fills with what belongs into a file store',
  },
}
