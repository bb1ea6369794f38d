import { AssertionError } from 'node:assert'
import { isDeepStrictEqual } from 'node:util'
import type { AnyHandlers, HandlerName } from '../client/handler-types.ts'
import type { Priority } from '../core/names.ts'
import type { TestQueue } from './test-queue.ts'
import type { EnqueuedTestJob } from './test-records.ts'

/** What a job has to be like. What is left out does not matter. */
export interface ExpectedJob {
  /** Of an object, the fields that matter, at every depth; an array has to have as many elements. */
  payload?: unknown
  id?: string | undefined
  key?: string | undefined
  priority?: Priority | undefined
  runAt?: Date | undefined
  expiresAt?: Date | undefined
  /** The headers that matter; names in lower case. */
  headers?: Readonly<Record<string, string>> | undefined
  /** How many such jobs there have to be. @default at least one */
  count?: number | undefined
}

/**
 * That a job was enqueued, and has perhaps run since; returns those that are like it.
 *
 * @throws {AssertionError} that says what was enqueued instead.
 */
export function assertEnqueued<Handlers extends object = AnyHandlers>(
  queue: TestQueue<Handlers>,
  handler: HandlerName<Handlers>,
  expected: ExpectedJob = {},
): EnqueuedTestJob[] {
  const { count, ...like } = expected
  const found = queue.enqueued(handler).filter((job) => isLike(job, like))
  if (count === undefined ? found.length > 0 : found.length === count) return found
  const wanted = count === undefined ? 'a job' : count === 1 ? '1 job' : `${count} jobs`
  throw failure(
    queue,
    `${wanted} of ${handler}${shownLike(like)} should have been enqueued, there were ${found.length || 'none'}`,
  )
}

/**
 * That no job like it was enqueued.
 *
 * @throws {AssertionError} that says what was enqueued.
 */
export function assertNotEnqueued<Handlers extends object = AnyHandlers>(
  queue: TestQueue<Handlers>,
  handler: HandlerName<Handlers>,
  expected: Omit<ExpectedJob, 'count'> = {},
): void {
  const found = queue.enqueued(handler).filter((job) => isLike(job, expected))
  if (found.length === 0) return
  throw failure(
    queue,
    `no job of ${handler}${shownLike(expected)} should have been enqueued, there were ${found.length}`,
  )
}

/** So many jobs are shown in a message. */
const mostShown = 20

function failure(queue: TestQueue<never>, what: string): AssertionError {
  const all = queue.enqueued()
  const lines = all.slice(-mostShown).map((job) => `  ${shownJob(job)}`)
  if (all.length > mostShown) lines.unshift(`  … ${all.length - mostShown} before these`)
  const list = lines.length === 0 ? 'nothing was enqueued' : `enqueued were:\n${lines.join('\n')}`
  return new AssertionError({ message: `${what}; ${list}`, stackStartFn: failure })
}

function isLike(job: EnqueuedTestJob, { payload, headers, ...fields }: ExpectedJob): boolean {
  if (payload !== undefined && !matches(job.payload, payload)) return false
  if (headers !== undefined && !matches(job.headers, headers)) return false
  return Object.entries(fields).every(
    ([name, value]) => value === undefined || isDeepStrictEqual(job[name as keyof EnqueuedTestJob], value),
  )
}

/** Whether `actual` is `expected`, or an object that has what `expected` has. */
function matches(actual: unknown, expected: unknown): boolean {
  if (!isPlain(expected) || !isPlain(actual)) {
    if (!Array.isArray(expected) || !Array.isArray(actual)) return isDeepStrictEqual(actual, expected)
    return actual.length === expected.length && expected.every((each, at) => matches(actual[at], each))
  }
  return Object.entries(expected).every(
    ([name, value]) => Object.hasOwn(actual, name) && matches(actual[name], value),
  )
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)
  )
}

function shownLike(like: object): string {
  const given = Object.entries(like).filter(([, value]) => value !== undefined)
  return given.length === 0 ? '' : ` with ${shortly(Object.fromEntries(given))}`
}

function shownJob({ handler, payload, id, key, priority, runAt }: EnqueuedTestJob): string {
  const more = [
    `id ${id}`,
    ...(key === undefined ? [] : [`key ${key}`]),
    ...(priority === 'normal' ? [] : [`priority ${priority}`]),
    ...(runAt ? [`not before ${runAt.toISOString()}`] : []),
  ]
  return `${handler} ${shortly(payload)} (${more.join(', ')})`
}

function shortly(value: unknown): string {
  const text =
    value instanceof Uint8Array ? `${value.length} bytes` : (JSON.stringify(value) ?? 'without a payload')
  return text.length > 300 ? `${text.slice(0, 299)}…` : text
}
