import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  type DeadLetter,
  deadLetterHeaders,
  deadLetterId,
  fitHeaders,
  type HeaderEntry,
  headerBlockBytes,
} from '#src/core/dead-letter.js'
import { deadReasons } from '#src/core/verdict.js'

const letter: DeadLetter = {
  handler: 'email.send',
  reason: 'exhausted',
  jobId: 'order-7',
  subject: 'jobs.email.send',
  stream: 'JOBS',
  sequence: 42,
  attempts: 3,
  deliveries: 4,
  enqueuedAt: Date.UTC(2026, 0, 31, 12),
  deadAt: Date.UTC(2026, 0, 31, 12, 5),
  error: { code: 'handler_error', message: 'no luck' },
  history: [{ attempt: 3, outcome: 'failed', error: 'no luck' }],
  headersUnread: 0,
}

test('a dead letter says all that the contract names', () => {
  assert.deepEqual(deadLetterHeaders(letter, [['traceparent', '00-1-2-01']]), [
    ['traceparent', '00-1-2-01'],
    ['Millrace-Dead-Reason', 'exhausted'],
    ['Millrace-Job-Id', 'order-7'],
    ['Millrace-Subject', 'jobs.email.send'],
    ['Millrace-Stream', 'JOBS'],
    ['Millrace-Sequence', '42'],
    ['Millrace-Attempts', '3'],
    ['Millrace-Deliveries', '4'],
    ['Millrace-Enqueued-At', '2026-01-31T12:00:00.000Z'],
    ['Millrace-Dead-At', '2026-01-31T12:05:00.000Z'],
    ['Millrace-Error-Code', 'handler_error'],
    ['Millrace-Error-Message', 'no luck'],
    ['Millrace-History', '[{"attempt":3,"outcome":"failed","error":"no luck"}]'],
  ])
})

test('a job that never ran has an empty history and no error of its own', () => {
  const headers = new Map(deadLetterHeaders({ ...letter, attempts: 0, error: undefined, history: [] }, []))
  assert.equal(headers.get('Millrace-History'), '[]')
  assert.equal(headers.get('Millrace-Attempts'), '0')
  assert.ok(!headers.has('Millrace-Error-Code') && !headers.has('Millrace-Error-Message'))
})

test('headers of an earlier death are replaced, the number of replays is kept', () => {
  const headers = deadLetterHeaders(letter, [
    ['millrace-dead-reason', 'permanent'],
    ['Millrace-Error-Message', 'old'],
    ['MILLRACE-HISTORY', '[]'],
    ['Millrace-Replays', '2'],
    ['Millrace-Key', 'k'],
    ['', 'nameless'],
  ])
  const names = headers.map(([name]) => name.toLowerCase())
  assert.equal(new Set(names).size, names.length)
  assert.deepEqual(headers.slice(0, 2), [
    ['Millrace-Replays', '2'],
    ['Millrace-Key', 'k'],
  ])
  assert.equal(new Map(headers).get('Millrace-Dead-Reason'), 'exhausted')
})

/** Long texts, cheap to make and to shrink. */
const anyText = fc
  .tuple(fc.string({ unit: 'binary', maxLength: 12 }), fc.nat(2_000))
  .map(([part, times]) => part.repeat(times))
const anyEntry: fc.Arbitrary<HeaderEntry> = fc.tuple(
  fc.oneof(
    fc.string(),
    fc.constantFrom('Nats-Rollup', 'nats-msg-id', 'NATS-Expected-Stream', 'Millrace-Job-Id'),
  ),
  fc.string(),
)
const anyLetter: fc.Arbitrary<DeadLetter> = fc.record({
  handler: fc.constant('email.send'),
  reason: fc.constantFrom(...deadReasons),
  // The id came as a header, and that header is dropped: its length cancels out.
  jobId: fc.string({ maxLength: 200 }),
  subject: fc.string({ maxLength: 256 }),
  stream: fc.string({ maxLength: 256 }),
  sequence: fc.maxSafeNat(),
  attempts: fc.nat(),
  deliveries: fc.nat(),
  enqueuedAt: fc.date({ noInvalidDate: true }).map((date) => date.getTime()),
  deadAt: fc.date({ noInvalidDate: true }).map((date) => date.getTime()),
  error: fc.option(fc.record({ code: anyText, message: anyText }), { nil: undefined }),
  history: fc.array(
    fc.record(
      {
        attempt: fc.nat(),
        outcome: fc.constant('failed'),
        error: anyText,
        error_code: anyText,
        supervisor: anyText,
      },
      { requiredKeys: ['attempt', 'outcome'] },
    ),
    { maxLength: 20 },
  ),
  headersUnread: fc.nat(),
})

test('no Nats header is ever copied and ours stay below 12 KiB, whatever the job and its error hold', () => {
  fc.assert(
    fc.property(anyLetter, fc.array(anyEntry), (any, jobHeaders) => {
      const headers = deadLetterHeaders(any, jobHeaders)
      assert.deepEqual(
        headers.filter(([name]) => /^nats-/i.test(name)),
        [],
      )
      const ours = headers.filter((entry) => !jobHeaders.includes(entry))
      const bytes = ours.reduce((sum, [name, value]) => sum + Buffer.byteLength(`${name}: ${value}\r\n`), 0)
      assert.ok(bytes < 12 * 1024, `${bytes}`)
      for (const [name, value] of ours) {
        if (name.startsWith('Millrace-Error') || name === 'Millrace-History')
          assert.doesNotMatch(value, /\p{Cc}/u)
      }
    }),
  )
})

test('every header of the application survives, in its order and as often as it was sent', () => {
  const application: HeaderEntry[] = [
    ['X-One', '1'],
    ['x-two', '2'],
    ['X-One', '3'],
  ]
  assert.deepEqual(deadLetterHeaders(letter, application).slice(0, 3), application)
})

test('the id of a dead letter names the place of its job, and the incarnation when asked', () => {
  assert.equal(deadLetterId('JOBS', 42), 'dead:JOBS:42')
  assert.equal(deadLetterId('JOBS', 42, 1700), 'dead:JOBS:42:1700')
})

test('headers that do not fit go, the largest first, and ours never do', () => {
  const all = deadLetterHeaders(letter, [
    ['X-Small', 'kept'],
    ['X-Large', 'l'.repeat(900)],
    ['X-Larger', 'l'.repeat(1_000)],
  ])
  const bytes = headerBlockBytes(all)
  assert.equal(fitHeaders(all, bytes), all)
  const fewer = new Map(fitHeaders(all, bytes - 1))
  assert.equal(fewer.get('Millrace-Headers-Dropped'), '1')
  assert.ok(fewer.has('X-Small') && fewer.has('X-Large') && !fewer.has('X-Larger'))
  const ours = fitHeaders(all, 0)
  assert.deepEqual(ours.slice(0, -1), deadLetterHeaders(letter, []))
  assert.deepEqual(ours.at(-1), ['Millrace-Headers-Dropped', '3'])
})

test('headers that were too many to be read are counted, with those that do not fit', () => {
  const all = deadLetterHeaders({ ...letter, headersUnread: 44 }, [
    ['X-Small', 'kept'],
    ['X-Large', 'l'.repeat(900)],
    ['Millrace-Headers-Dropped', '7'],
  ])
  assert.deepEqual(dropped(all), ['44'], 'not what the job says')
  const fewer = fitHeaders(all, headerBlockBytes(all) - 1)
  assert.deepEqual(dropped(fewer), ['45'])
  assert.ok(headerBlockBytes(fewer) < headerBlockBytes(all))
})

const dropped = (headers: readonly HeaderEntry[]) =>
  headers.filter(([name]) => name === 'Millrace-Headers-Dropped').map(([, value]) => value)

test('whatever headers a job has, those of its dead letter fit where ours alone do', () => {
  const entry = fc.tuple(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary', maxLength: 300 }))
  fc.assert(
    fc.property(
      fc.array(entry, { maxLength: 60 }),
      fc.integer({ min: 2_000, max: 8_000 }),
      (theirs, limit) => {
        const all = deadLetterHeaders(letter, theirs)
        const fitted = fitHeaders(all, limit)
        assert.ok(headerBlockBytes(fitted) <= limit)
        const block = `NATS/1.0\r\n${fitted.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`
        assert.equal(headerBlockBytes(fitted), Buffer.byteLength(block))
        for (const [name] of deadLetterHeaders(letter, [])) assert.ok(fitted.some(([kept]) => kept === name))
      },
    ),
  )
})
