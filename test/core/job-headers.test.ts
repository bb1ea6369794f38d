import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { noHeaders, readJobHeaders } from '#src/core/job-headers.js'

const instant = '2026-01-31T12:00:00Z'

test('a job without headers asks for nothing', () => {
  assert.deepEqual(readJobHeaders({}), { headers: noHeaders, problem: undefined })
})

test('each header is read', () => {
  const { headers, problem } = readJobHeaders({
    'nats-msg-id': 'order-7',
    'millrace-deadline-ms': '2500',
    'millrace-max-attempts': '7',
    'millrace-expires-at': instant,
    'millrace-run-at': '2026-01-31T13:00:00+01:00',
    'millrace-enqueued-at': '2026-01-31T11:59:59.5Z',
    'millrace-prior-attempts': '2',
    'millrace-prior-history': '[{"attempt":2,"outcome":"failed"}]',
    'content-type': 'application/octet-stream',
  })
  assert.equal(problem, undefined)
  const noon = Date.UTC(2026, 0, 31, 12)
  assert.deepEqual(headers, {
    id: 'order-7',
    deadlineMs: 2500,
    maxAttempts: 7,
    expiresAt: noon,
    runAt: noon,
    enqueuedAt: noon - 500,
    priorAttempts: 2,
    priorHistory: [{ attempt: 2, outcome: 'failed' }],
    key: undefined,
    tick: undefined,
    json: false,
  })
})

test('the id of a job that was published again wins over its message id', () => {
  const { headers } = readJobHeaders({ 'millrace-job-id': 'order-7', 'nats-msg-id': 'replay:JOBS_DEAD:3' })
  assert.equal(headers.id, 'order-7')
})

test('a number that is not a whole one of the least size is a problem that names header and value', () => {
  for (const value of ['', ' 5', '5s', '1e3', '-1', '0x10', '9', '١٢', '9'.repeat(16), '20, 20']) {
    const { problem } = readJobHeaders({ 'millrace-deadline-ms': value })
    assert.equal(
      problem,
      `Millrace-Deadline-Ms must be a whole number of at least 10, got ${JSON.stringify(value)}`,
    )
  }
  assert.match(readJobHeaders({ 'millrace-max-attempts': '0' }).problem!, /^Millrace-Max-Attempts must be/)
})

test('an instant is RFC 3339 and nothing else that Date would take', () => {
  for (const name of ['millrace-expires-at', 'millrace-run-at', 'millrace-enqueued-at']) {
    for (const value of [
      'tomorrow',
      '2026-01-31',
      '2026',
      '1769860800',
      '2026-13-01T00:00:00Z',
      '2026-01-31T12:00:00',
      'Sat, 31 Jan 2026 12:00:00 GMT',
    ]) {
      assert.match(readJobHeaders({ [name]: value }).problem ?? '', /must be an RFC 3339 instant/, value)
    }
    for (const value of [
      instant,
      '2026-01-31T12:00:00.123456789Z',
      '2026-01-31 12:00:00+05:30',
      '2026-01-31t12:00:00z',
    ]) {
      assert.equal(readJobHeaders({ [name]: value }).problem, undefined, value)
    }
  }
})

test('a payload is JSON unless its content type says otherwise', () => {
  const json = (type: string) => readJobHeaders({ 'content-type': type }).headers.json
  for (const type of [
    '',
    'application/json',
    'Application/JSON; charset=utf-8',
    'text/json',
    'application/ld+json',
    ' application/json ',
  ]) {
    assert.ok(json(type), type)
  }
  for (const type of ['application/octet-stream', 'text/plain', 'json', 'application/json5']) {
    assert.ok(!json(type), type)
  }
})

const known = [
  'millrace-job-id',
  'nats-msg-id',
  'millrace-deadline-ms',
  'millrace-max-attempts',
  'millrace-expires-at',
  'millrace-run-at',
  'millrace-enqueued-at',
  'content-type',
]

test('arbitrary headers are read without throwing, to something sensible or a short problem', () => {
  const values = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 300 }),
    fc.date().map((date) => String(date.getTime())),
    fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
    fc.nat().map(String),
  )
  const names = fc.oneof(fc.constantFrom(...known, '__proto__', 'constructor', 'toString'), fc.string())
  fc.assert(
    fc.property(fc.dictionary(names, values), (plain) => {
      const { headers, problem } = readJobHeaders(plain)
      for (const value of [headers.expiresAt, headers.runAt, headers.enqueuedAt]) {
        // A Date can be made of it, so that writing it never throws.
        if (value !== undefined) assert.ok(new Date(value).toISOString())
      }
      if (headers.deadlineMs !== undefined) assert.ok(headers.deadlineMs >= 10)
      if (headers.maxAttempts !== undefined) assert.ok(headers.maxAttempts >= 1)
      // Escapes make at most six characters of one.
      if (problem !== undefined) assert.ok(problem.length <= 120 + 64 * 6)
    }),
  )
})

test('an id is the first that is not empty, and has at most 2 KiB', () => {
  const idOf = (headers: Record<string, string>) => readJobHeaders(headers)
  assert.equal(idOf({ 'millrace-job-id': 'a', 'nats-msg-id': 'b' }).headers.id, 'a')
  assert.equal(idOf({ 'millrace-job-id': '', 'nats-msg-id': 'b' }).headers.id, 'b')
  assert.equal(idOf({ 'nats-msg-id': '' }).headers.id, undefined)
  assert.equal(idOf({ 'nats-msg-id': 'é'.repeat(1_024) }).headers.id, 'é'.repeat(1_024))
  const long = idOf({ 'nats-msg-id': 'é'.repeat(1_025) })
  assert.equal(long.headers.id, undefined)
  assert.match(long.problem ?? '', /^Nats-Msg-Id must be text of at most 2048 bytes, got "é{64}"$/)
})

test('any headers at all are read or refused, in words that quote no more than 64 characters', () => {
  const names = [
    'deadline-ms',
    'max-attempts',
    'expires-at',
    'run-at',
    'enqueued-at',
    'tick',
    'key',
    'job-id',
    'prior-attempts',
    'prior-history',
  ]
  const name = fc.oneof(
    fc.constantFrom(...names.map((it) => `millrace-${it}`), 'nats-msg-id', 'content-type', '__proto__'),
    fc.string(),
  )
  const value = fc.oneof(
    fc.string(),
    fc.string({ unit: 'binary' }),
    fc.json(),
    fc.integer().map(String),
    fc.date({ noInvalidDate: true }).map((at) => at.toISOString()),
  )
  fc.assert(
    fc.property(fc.dictionary(name, value), (headers) => {
      const { headers: read, problem } = readJobHeaders(headers)
      for (const at of [read.expiresAt, read.runAt, read.enqueuedAt, read.tick]) {
        if (at !== undefined) assert.match(new Date(at).toISOString(), /^\d{4}-/)
      }
      for (const count of [read.deadlineMs, read.maxAttempts, read.priorAttempts]) {
        assert.ok(count === undefined || Number.isSafeInteger(count))
      }
      assert.ok(problem === undefined || problem.length < 64 * 6 + 150, problem)
    }),
    { numRuns: 2_000 },
  )
})
