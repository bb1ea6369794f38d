import { isRecord } from './field-checks.ts'
import { type HistoryEntry, historyOf, shortenHistory } from './history.ts'
import type { AttemptError } from './outcome.ts'
import { type DeadReason, deadReasons } from './verdict.ts'

/**
 * What the delivery count cannot tell about a job: which of its deliveries were no fault of its own,
 * and what its failed attempts said. Kept in the attempts bucket under `<stream>.<sequence>`.
 */
export interface AttemptRecord {
  /** Deliveries that ended without counting: releases, snoozes, attempts that we cut short. */
  readonly released: number
  /** Attempts that ended with an outcome that was written down. */
  readonly failures: number
  readonly history: readonly HistoryEntry[]
  /** Attempts that began without a delivery of their own: a job with a key keeps its place between them. */
  readonly repeats?: number
  /** Epoch milliseconds: the next attempt must not begin before. */
  readonly notBefore?: number
  /** Epoch milliseconds: when the broker was asked to bring it back. For people; nothing is decided by it. */
  readonly dueAt?: number
  /** Set before a dead letter is published: whoever gets this job again finishes that, and runs nothing. */
  readonly dead?: { readonly reason: DeadReason; readonly attempts: number; readonly error?: AttemptError }
}

export const noRecord: AttemptRecord = { released: 0, failures: 0, history: [] }

/**
 * The record in what the bucket holds, which an operator or another version may have written: a field that is not
 * what it should be counts as missing, because half a record is better than none, and no job is lost for it.
 */
export function readAttemptRecord(stored: Readonly<Record<string, unknown>>): AttemptRecord {
  const { released, failures, history, repeats, notBefore, dueAt, dead } = stored
  const reason = isRecord(dead) ? deadReasons.find((known) => known === dead['reason']) : undefined
  return {
    released: isCount(released) ? released : 0,
    failures: isCount(failures) ? failures : 0,
    history: historyOf(history),
    ...(isCount(repeats) ? { repeats } : {}),
    ...(typeof notBefore === 'number' && Number.isFinite(notBefore) ? { notBefore } : {}),
    ...(typeof dueAt === 'number' && Number.isFinite(dueAt) ? { dueAt } : {}),
    ...(reason && isRecord(dead) ? { dead: { reason, ...readDeath(dead) } } : {}),
  }
}

function readDeath({ attempts, error }: Readonly<Record<string, unknown>>) {
  const { code, message } = isRecord(error) ? error : {}
  return {
    attempts: isCount(attempts) ? attempts : 0,
    ...(typeof code === 'string' && typeof message === 'string' ? { error: { code, message } } : {}),
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

/** Which attempt a delivery is, and how many earlier ones ended without a trace. */
export interface AttemptCount {
  /** Counts from 1. */
  readonly attempt: number
  /** Earlier deliveries that nobody wrote down: their process died, or lost its link. */
  readonly unexplained: number
}

/**
 * Counts attempts: deliveries less what was released without fault, and attempts that had none.
 *
 * Never below the failures on record plus one, because a broker that was killed can come back with a
 * delivery count of 1.
 */
export function countAttempt(deliveries: number, record: AttemptRecord): AttemptCount {
  const attempt = Math.max(deliveries + (record.repeats ?? 0) - record.released, record.failures + 1)
  return { attempt, unexplained: attempt - 1 - record.failures }
}

/** The record of a job that was moved, with the attempts of before; a record that has them is left as it is. */
export function withPriorHistory(record: AttemptRecord, prior: readonly HistoryEntry[]): AttemptRecord {
  if (prior.length === 0) return record
  const first = record.history[0]?.attempt ?? Number.POSITIVE_INFINITY
  const missing = prior.filter(({ attempt }) => attempt < first)
  return missing.length === 0 ? record : { ...record, history: [...missing, ...record.history] }
}

/** What was stored, and what came since without its knowledge. */
export function mergeRecords(stored: AttemptRecord, since: AttemptRecord): AttemptRecord {
  const repeats = (stored.repeats ?? 0) + (since.repeats ?? 0)
  const known = new Set(stored.history.map(({ attempt }) => attempt))
  return {
    ...stored,
    ...since,
    released: stored.released + since.released,
    failures: stored.failures + since.failures,
    history: shortenHistory([
      ...stored.history,
      ...since.history.filter(({ attempt }) => !known.has(attempt)),
    ]),
    ...(repeats > 0 ? { repeats } : {}),
  }
}

/** The record after a delivery, or several, that did not count. */
export function withRelease(record: AttemptRecord, deliveries = 1): AttemptRecord {
  return { ...record, released: record.released + deliveries }
}

/** The record after an attempt that counted. */
export function withFailure(record: AttemptRecord, entry: HistoryEntry): AttemptRecord {
  return {
    ...record,
    failures: record.failures + 1,
    history: shortenHistory([...record.history, entry]),
  }
}

/** The record before an attempt that begins under the delivery of an earlier one. */
export function withRepeat(record: AttemptRecord): AttemptRecord {
  const { notBefore: _, ...rest } = record
  return { ...rest, repeats: (record.repeats ?? 0) + 1 }
}
