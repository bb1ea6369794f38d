import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { composeJob, type EnqueueOptions } from '#src/client/new-job.js'
import { readJobHeaders } from '#src/core/job-headers.js'
import { namesFor } from '#src/core/names.js'

const names = namesFor('jobs')
const now = Date.UTC(2026, 0, 31, 12)

function compose(payload: unknown, options: EnqueueOptions = {}, handler = 'email.send') {
  const { headers, ...job } = composeJob(names, handler, payload, options, now)
  return { ...job, headers: Object.fromEntries(headers) }
}

function refused(options: unknown, message: RegExp, payload: unknown = 1, handler = 'email.send'): void {
  assert.throws(() => composeJob(names, handler, payload, options as EnqueueOptions, now), {
    code: 'invalid_job',
    message,
  })
}

test('a job without options is its payload on its subject, with an id of its own', () => {
  const { id, ...job } = compose({ to: 'a@b.c' })
  assert.deepEqual(job, {
    subject: 'jobs.email.send',
    stream: 'JOBS',
    idGiven: false,
    handler: 'email.send',
    headers: {},
    data: '{"to":"a@b.c"}',
  })
  assert.match(id, /^[0-9a-f-]{36}$/)
  assert.notEqual(compose(1).id, compose(1).id)
})

test('options become the headers of the contract', () => {
  const job = compose(undefined, {
    id: 'order-7',
    runAt: new Date(now + 60_000),
    expiresAt: '2026-02-01T00:00:00+01:00',
    key: 'kunde 7 ü',
    priority: 'high',
    headers: { traceparent: '00-1' },
    deadlineMs: 5_000,
    maxAttempts: 3,
  })
  assert.deepEqual(job, {
    id: 'order-7',
    subject: 'high.jobs.email.send',
    stream: 'JOBS_HIGH',
    idGiven: true,
    handler: 'email.send',
    data: '',
    headers: {
      traceparent: '00-1',
      'Millrace-Run-At': '2026-01-31T12:01:00.000Z',
      'Millrace-Expires-At': '2026-02-01T00:00:00+01:00',
      'Millrace-Key': 'kunde 7 ü',
      'Millrace-Deadline-Ms': '5000',
      'Millrace-Max-Attempts': '3',
    },
  })
  assert.deepEqual(compose(1, { delayMs: 1_500 }).headers, { 'Millrace-Run-At': '2026-01-31T12:00:01.500Z' })
  assert.deepEqual(compose(1, { delayMs: 0 }).headers, {})
})

test('bytes are sent as they are and say so, unless the caller says what they are', () => {
  const bytes = Uint8Array.of(0, 255)
  assert.deepEqual(compose(bytes).headers, { 'content-type': 'application/octet-stream' })
  assert.equal(compose(bytes).data, bytes)
  const own = compose(bytes, { headers: { 'Content-Type': 'image/png' } })
  assert.deepEqual(own.headers, { 'Content-Type': 'image/png' })
})

test('what a supervisor would refuse is refused before it is sent, with the value and the remedy', () => {
  for (const name of ['', 'a b', 'a..b', 'a.*', '>', 'ä', 'a.', 7, null]) {
    refused({}, /a handler's name is made of .* got /s, 1, name as string)
  }
  refused({ priority: 'urgent' }, /one of high, normal, low, got "urgent"/)
  refused({ key: 'a\nb' }, /key must be text without control characters .* got "a\\nb"/)
  for (const key of ['', ' a', 7]) refused({ key }, /key must be text/)
  for (const id of ['', ' a', 'a\r\nb', 'x'.repeat(513), 7]) refused({ id }, /a job's id is text/)
  refused({ runAt: new Date('tomorrow') }, /runAt must be a valid Date/)
  refused({ runAt: 1_700_000_000_000 }, /runAt must be a valid Date/)
  refused({ runAt: 'tomorrow' }, /Millrace-Run-At must be an RFC 3339 instant/)
  refused({ runAt: '2026-01-31T12:00:00' }, /RFC 3339/)
  refused({ runAt: new Date(8.64e15) }, /RFC 3339/)
  refused({ runAt: new Date(now), delayMs: 1 }, /runAt and delayMs/)
  for (const delayMs of [-1, Number.NaN, Number.POSITIVE_INFINITY, '5'])
    refused({ delayMs }, /delayMs must be/)
  refused({ runAt: new Date(now + 2), expiresAt: new Date(now + 1) }, /it would never run/)
  refused({ deadlineMs: 9 }, /Millrace-Deadline-Ms must be a whole number of at least 10, got "9"/)
  refused({ maxAttempts: 1.5 }, /Millrace-Max-Attempts must be a whole number/)
  refused({ headers: { 'nats-rollup': 'all' } }, /belongs to the server/)
  refused({ headers: { 'a b': 'c' } }, /header's name/)
  refused({ headers: { a: 'b\r\nc: d' } }, /must be text without control characters/)
  refused({ key: 'a', headers: { 'millrace-key': 'b' } }, /say the same thing/)
  refused({ headers: { 'Millrace-Run-At': 'soon' } }, /RFC 3339/)
  refused({ runat: new Date() }, /runat is not an option of enqueue/)
  const cycle: unknown[] = ['hush']
  cycle.push(cycle)
  for (const payload of [cycle, () => 'hush', 7n]) {
    refused({}, /that JSON cannot hold/, payload)
    assert.throws(
      () => compose(payload),
      ({ message }: Error) => !message.includes('hush'),
    )
  }
})

test('what is composed is always understood by the reader of headers', () => {
  const options = fc.record(
    {
      key: fc.string({ unit: 'grapheme' }),
      delayMs: fc.integer({ min: -10, max: 1e12 }),
      deadlineMs: fc.integer({ min: -10, max: 1e9 }),
      maxAttempts: fc.integer({ min: -1, max: 200 }),
      expiresAt: fc.date({ noInvalidDate: false }),
    },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(options, (chosen) => {
      let headers: Record<string, string>
      try {
        headers = compose(1, chosen).headers
      } catch (error) {
        assert.equal((error as { code: string }).code, 'invalid_job')
        return
      }
      const plain = Object.fromEntries(
        Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
      )
      const read = readJobHeaders(plain)
      assert.equal(read.problem, undefined)
      assert.equal(read.headers.key, chosen.key)
      assert.equal(read.headers.deadlineMs, chosen.deadlineMs)
      assert.equal(read.headers.expiresAt, chosen.expiresAt?.getTime())
      assert.equal(read.headers.runAt, chosen.delayMs ? now + chosen.delayMs : undefined)
    }),
  )
})
