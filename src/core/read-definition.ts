import { FieldChecks, isRecord } from './field-checks.ts'
import type { HandlerFunction, HandlerOptions, StandardSchema } from './handler-definition.ts'
import { checkSchedule } from './schedule.ts'

/** The fields of a definition that are plain values. */
const optionFields = [
  'deadlineMs',
  'graceMs',
  'retry',
  'pool',
  'concurrency',
  'maxInFlight',
  'rateLimit',
  'schedule',
  'result',
] as const satisfies readonly (keyof HandlerOptions)[]

/**
 * Reads the default export of a handler file.
 *
 * Returns the function to run, its schema and its plain options, or every problem found: a handler
 * with a problem is not used at all, because a deadline that was misspelt would not be kept.
 */
export function readDefinition(
  exported: unknown,
):
  | { kind: 'handler'; run: HandlerFunction; schema: StandardSchema | undefined; options: HandlerOptions }
  | { kind: 'problems'; problems: string[] } {
  if (typeof exported === 'function') {
    return { kind: 'handler', run: exported as HandlerFunction, schema: undefined, options: {} }
  }
  if (typeof exported !== 'object' || exported === null) {
    const got = exported === undefined ? 'nothing' : exported === null ? 'null' : `a ${typeof exported}`
    return {
      kind: 'problems',
      problems: [`the default export must be a function or a handler definition, got ${got}`],
    }
  }
  const definition = exported as Record<string, unknown>
  const checks = new FieldChecks()
  checks.known('', definition, ['schema', ...optionFields, 'run'])
  if (typeof definition['run'] !== 'function') checks.problems.push('run must be a function')
  checks.number('deadlineMs', definition['deadlineMs'], 10, true)
  checks.number('graceMs', definition['graceMs'], 0, true)
  checks.number('concurrency', definition['concurrency'], 1, true)
  checks.number('maxInFlight', definition['maxInFlight'], 1, true)
  checks.oneOf('pool', definition['pool'], ['cpu', 'io'])
  const { schema, result, retry, rateLimit, schedule } = definition
  if (
    schema !== undefined &&
    typeof (schema as StandardSchema | null)?.['~standard']?.validate !== 'function'
  ) {
    checks.problems.push(
      'schema must be a Standard Schema (an object with "~standard"), such as one made by zod, valibot or arktype',
    )
  }
  if (result !== undefined && typeof result !== 'boolean') checks.refuse('result', 'true or false', result)
  if (retry !== undefined) checkRetry(retry, checks)
  if (rateLimit !== undefined) checkRateLimit(rateLimit, checks)
  if (schedule !== undefined) checkSchedule(schedule, 'schedule', checks)
  if (checks.problems.length > 0) return { kind: 'problems', problems: checks.problems }
  const options: HandlerOptions = {}
  for (const field of optionFields) {
    if (definition[field] !== undefined) (options as Record<string, unknown>)[field] = definition[field]
  }
  const run = definition['run'] as HandlerFunction
  return {
    kind: 'handler',
    run: (payload, context) => run.call(definition, payload, context),
    schema: schema as StandardSchema | undefined,
    options,
  }
}

function checkRetry(retry: unknown, checks: FieldChecks): void {
  if (!isRecord(retry)) {
    checks.refuse('retry', 'an object', retry)
    return
  }
  checks.known('retry', retry, ['maxAttempts', 'backoff'])
  checks.number('retry.maxAttempts', retry['maxAttempts'], 1, true)
  const { backoff } = retry
  if (backoff === undefined) return
  if (!isRecord(backoff)) {
    checks.refuse('retry.backoff', 'an object', backoff)
    return
  }
  checks.known('retry.backoff', backoff, ['kind', 'baseMs', 'factor', 'maxMs', 'jitter'])
  checks.oneOf('retry.backoff.kind', backoff['kind'], ['exponential'])
  checks.oneOf('retry.backoff.jitter', backoff['jitter'], ['full', 'none'])
  checks.number('retry.backoff.baseMs', backoff['baseMs'], 0, false)
  checks.number('retry.backoff.maxMs', backoff['maxMs'], 0, false)
  checks.number('retry.backoff.factor', backoff['factor'], 1, false)
}

function checkRateLimit(rateLimit: unknown, checks: FieldChecks): void {
  if (!isRecord(rateLimit)) {
    checks.refuse('rateLimit', 'an object with jobs and perMs', rateLimit)
    return
  }
  checks.known('rateLimit', rateLimit, ['jobs', 'perMs'])
  for (const field of ['jobs', 'perMs']) {
    if (rateLimit[field] === undefined) checks.problems.push(`rateLimit.${field} is missing`)
    checks.number(`rateLimit.${field}`, rateLimit[field], 1, true)
  }
}
