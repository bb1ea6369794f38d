import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { defineHandler } from '#src/core/handler-definition.js'
import { readDefinition } from '#src/core/read-definition.js'

const run = () => {}

function problemsOf(exported: unknown): string[] {
  const read = readDefinition(exported)
  return read.kind === 'problems' ? read.problems : []
}

test('a function is a handler with every option left to the settings', () => {
  const read = readDefinition(run)
  assert.deepEqual(read, { kind: 'handler', run, schema: undefined, options: {} })
})

test('a definition is read with its options, and run keeps its this', () => {
  const schema = {
    '~standard': { version: 1 as const, vendor: 'test', validate: (value: unknown) => ({ value }) },
  }
  const retry = {
    maxAttempts: 2,
    backoff: { kind: 'exponential' as const, baseMs: 5, jitter: 'none' as const },
  }
  const definition = {
    schema,
    deadlineMs: 10,
    graceMs: 0,
    retry,
    pool: 'io' as const,
    concurrency: 1,
    run(): unknown {
      return this
    },
  }
  const read = readDefinition(defineHandler(definition))
  assert.ok(read.kind === 'handler')
  assert.deepEqual(read.options, { deadlineMs: 10, graceMs: 0, retry, pool: 'io', concurrency: 1 })
  assert.equal(read.schema, schema)
  assert.equal(read.run(undefined, undefined as never), definition)
})

test('an export that is nothing or something else says what it is', () => {
  const prefix = 'the default export must be a function or a handler definition, got'
  assert.deepEqual(problemsOf(undefined), [`${prefix} nothing`])
  assert.deepEqual(problemsOf(null), [`${prefix} null`])
  assert.deepEqual(problemsOf('x'), [`${prefix} a string`])
  assert.deepEqual(problemsOf({}), ['run must be a function'])
})

test('all problems are reported at once, with the value in them', () => {
  const problems = problemsOf({
    run: 'x',
    deadlineMs: '5s',
    graceMs: -1,
    concurrency: 1.5,
    pool: 'gpu',
    schema: {},
    deadline: 5,
    retry: {
      attempts: 3,
      maxAttempts: 0,
      backoff: { kind: 'linear', jitter: true, base: 1, factor: 0.5, maxMs: Number.NaN },
    },
  })
  assert.deepEqual(problems, [
    'unknown field "deadline"; known are schema, deadlineMs, graceMs, retry, pool, concurrency, maxInFlight, rateLimit, schedule, result, run',
    'run must be a function',
    'deadlineMs must be a whole number of at least 10, got "5s"',
    'graceMs must be a whole number of at least 0, got -1',
    'concurrency must be a whole number of at least 1, got 1.5',
    `pool must be 'cpu' or 'io', got "gpu"`,
    'schema must be a Standard Schema (an object with "~standard"), such as one made by zod, valibot or arktype',
    'unknown field "retry.attempts"; known are maxAttempts, backoff',
    'retry.maxAttempts must be a whole number of at least 1, got 0',
    'unknown field "retry.backoff.base"; known are kind, baseMs, factor, maxMs, jitter',
    `retry.backoff.kind must be 'exponential', got "linear"`,
    `retry.backoff.jitter must be 'full' or 'none', got true`,
    'retry.backoff.maxMs must be a number of at least 0, got NaN',
    'retry.backoff.factor must be a number of at least 1, got 0.5',
  ])
})

test('a retry or backoff that is no object is refused', () => {
  assert.deepEqual(problemsOf({ run, retry: 3 }), ['retry must be an object, got 3'])
  assert.deepEqual(problemsOf({ run, retry: null }), ['retry must be an object, got null'])
  assert.deepEqual(problemsOf({ run, retry: { backoff: 'fast' } }), [
    'retry.backoff must be an object, got "fast"',
  ])
})

test('whatever a file exports is read without throwing', () => {
  const fields = fc.constantFrom(
    'schema',
    'deadlineMs',
    'graceMs',
    'retry',
    'pool',
    'concurrency',
    'run',
    'other',
  )
  const exported = fc.oneof(fc.anything(), fc.dictionary(fields, fc.anything()))
  fc.assert(
    fc.property(exported, (value) => {
      const read = readDefinition(value)
      if (read.kind === 'problems') assert.ok(read.problems.length > 0)
      else assert.equal(typeof read.run, 'function')
    }),
  )
})

test('the parts of a schedule and of a rate limit are checked', () => {
  const of = (field: string, value: unknown): string[] => problemsOf({ run, [field]: value })
  assert.deepEqual(of('schedule', { cron: '0 3 * * *', timeZone: 'Europe/Berlin', catchUp: 'all' }), [])
  assert.deepEqual(of('schedule', { everyMs: 100, jitterMs: 5, overlap: 'skip', payload: { a: 1 } }), [])
  assert.deepEqual(of('schedule', '5m'), ['schedule must be an object with cron or everyMs, got "5m"'])
  assert.deepEqual(of('schedule', {}), ['schedule must have either cron or everyMs'])
  assert.deepEqual(of('schedule', { cron: '* * * * *', everyMs: 1_000 }), [
    'schedule must have either cron or everyMs',
  ])
  assert.deepEqual(of('schedule', { everyMs: 99, timeZone: 'UTC', catchUp: 'some', payload: run }), [
    'schedule.everyMs must be a whole number of at least 100, got 99',
    'schedule.timeZone needs cron: everyMs has no time zone',
    "schedule.catchUp must be 'none' or 'last' or 'all', got \"some\"",
    'schedule.payload must be something that JSON can hold',
  ])
  assert.deepEqual(of('schedule', { cron: '* * * * *', timeZone: 'Mars/Olympus' }), [
    'schedule.timeZone must be an IANA time zone such as Europe/Berlin, got "Mars/Olympus"',
  ])
  assert.deepEqual(of('rateLimit', { jobs: 10, perMs: 1_000 }), [])
  assert.deepEqual(of('rateLimit', { jobs: 0 }), [
    'rateLimit.jobs must be a whole number of at least 1, got 0',
    'rateLimit.perMs is missing',
  ])
  assert.deepEqual(of('maxInFlight', 0), ['maxInFlight must be a whole number of at least 1, got 0'])
  assert.deepEqual(of('result', 'yes'), ['result must be true or false, got "yes"'])
})
