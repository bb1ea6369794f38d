import type { HeaderEntry } from '../core/dead-letter.ts'
import { MillraceError } from '../core/errors.ts'
import { isHeaderName, isHeaderValue } from '../core/header-text.ts'
import { mostHeaders, readJobHeaders } from '../core/job-headers.ts'
import type { EnqueueOptions } from './new-job.ts'

/** What a job can be without that a header says it. */
const silentNames: readonly string[] = ['id', 'priority', 'handler', 'payload']

const none: readonly HeaderEntry[] = []
const longestDelayMs = 100 * 365 * 86_400_000

/**
 * The headers that say what the options of a job say.
 *
 * @throws {MillraceError} `invalid_job` when a supervisor would not understand them.
 */
export function jobHeaders(
  options: EnqueueOptions,
  contentType: string | undefined,
  nowMs: number,
): readonly HeaderEntry[] {
  if (!saysMore(options, contentType)) return none
  const headers = composeHeaders(options, contentType, nowMs)
  checkHeaders(headers)
  return headers
}

/** Whether there is anything to say in headers: most jobs have none, and looking for each would cost as much. */
function saysMore(options: EnqueueOptions, contentType: string | undefined): boolean {
  if (contentType !== undefined) return true
  for (const name in options) if (!silentNames.includes(name)) return true
  return false
}

function composeHeaders(
  options: EnqueueOptions,
  contentType: string | undefined,
  nowMs: number,
): HeaderEntry[] {
  const headers: HeaderEntry[] = []
  const given = Object.entries(options.headers ?? {})
  if (given.length > mostHeaders)
    throw invalidJob(`a job has at most ${mostHeaders} headers, got ${given.length}; use the payload`)
  for (const [name, value] of given) {
    if (!isHeaderName(name))
      throw invalidJob(`a header's name is made of letters, digits and hyphens, got ${shown(name)}`)
    if (/^nats-/i.test(name))
      throw invalidJob(
        `the header ${name} belongs to the server; give the job's id as id, and leave out the rest`,
      )
    if (!isHeaderValue(value))
      throw invalidJob(`the header ${name} must be text without control characters, got ${shown(value)}`)
    headers.push([name, value])
  }
  const add = (name: string, value: string | undefined, option: string): void => {
    if (value === undefined) return
    if (headers.some(([other]) => other.toLowerCase() === name.toLowerCase()))
      throw invalidJob(`${option} and the header ${name} say the same thing; give one of them`)
    headers.push([name, value])
  }
  if (!headers.some(([name]) => name.toLowerCase() === 'content-type'))
    add('content-type', contentType, 'content-type')
  const { key } = options
  // NATS takes away the spaces around a header's value, and with them the difference between two keys.
  if (
    key !== undefined &&
    !(typeof key === 'string' && key !== '' && key.trim() === key && !/\p{Cc}/u.test(key))
  )
    throw invalidJob(
      `key must be text without control characters and without spaces around it, got ${shown(key)}`,
    )
  add('Millrace-Run-At', runAtOf(options, nowMs), options.delayMs === undefined ? 'runAt' : 'delayMs')
  add('Millrace-Expires-At', instantOf('expiresAt', options.expiresAt), 'expiresAt')
  add('Millrace-Key', key, 'key')
  add('Millrace-Deadline-Ms', options.deadlineMs?.toString(), 'deadlineMs')
  add('Millrace-Max-Attempts', options.maxAttempts?.toString(), 'maxAttempts')
  return headers
}

function runAtOf({ runAt, delayMs }: EnqueueOptions, nowMs: number): string | undefined {
  if (delayMs === undefined) return instantOf('runAt', runAt)
  if (runAt !== undefined) throw invalidJob('runAt and delayMs say the same thing; give one of them')
  if (typeof delayMs !== 'number' || !(delayMs >= 0 && delayMs <= longestDelayMs))
    throw invalidJob(
      `delayMs must be a number of milliseconds from 0 to ${longestDelayMs}, got ${shown(delayMs)}`,
    )
  return delayMs === 0 ? undefined : new Date(nowMs + delayMs).toISOString()
}

function instantOf(option: string, instant: Date | string | undefined): string | undefined {
  if (instant === undefined || typeof instant === 'string') return instant
  if (instant instanceof Date && !Number.isNaN(instant.getTime())) return instant.toISOString()
  throw invalidJob(
    `${option} must be a valid Date or RFC 3339 text such as 2026-01-31T12:00:00Z, got ${shown(instant)}`,
  )
}

/** Reads the headers as a supervisor will. */
function checkHeaders(entries: readonly HeaderEntry[]): void {
  const plain = Object.fromEntries(entries.map(([name, value]) => [name.toLowerCase(), value]))
  const { headers, problem } = readJobHeaders(plain)
  if (problem !== undefined) throw invalidJob(problem)
  const { runAt, expiresAt } = headers
  if (runAt !== undefined && expiresAt !== undefined && expiresAt <= runAt)
    throw invalidJob(
      `the job expires at ${new Date(expiresAt).toISOString()}, before it may run at ${new Date(runAt).toISOString()}: it would never run`,
    )
}

/** The error of everything that cannot be a job. */
export function invalidJob(message: string): MillraceError {
  return new MillraceError('invalid_job', message)
}

/** A value as a message may quote it. */
export function shown(value: unknown): string {
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value)
  return text.length > 80 ? `${text.slice(0, 79)}…` : text
}
