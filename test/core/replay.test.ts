import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type DeadLetter, deadLetterHeaders, type HeaderEntry } from '#src/core/dead-letter.js'
import { isReplayOf, replayHeaders, replayId, replayOfJob } from '#src/core/replay.js'

const place = { stream: 'JOBS_DEAD', sequence: 12, storedAt: 1_700_000_000_000 }
const now = Date.UTC(2026, 0, 31, 12)
const letter: DeadLetter = {
  handler: 'email.send',
  reason: 'exhausted',
  jobId: 'order-7',
  subject: 'jobs.email.send',
  stream: 'JOBS',
  sequence: 42,
  attempts: 3,
  deliveries: 4,
  enqueuedAt: now - 60_000,
  deadAt: now - 1_000,
  error: { code: 'handler_error', message: 'no luck' },
  history: [{ attempt: 3, outcome: 'failed', error: 'no luck' }],
  headersUnread: 0,
}

test('a replay keeps the job and drops what its death has added', () => {
  const stored: HeaderEntry[] = [
    ['Nats-Msg-Id', 'dead:JOBS:42'],
    ...deadLetterHeaders(letter, [
      ['traceparent', '00-1-2-01'],
      ['X-One', '1'],
      ['Millrace-Key', 'k'],
      ['x-one', '2'],
      ['Nats-Rollup', 'all'],
      ['Millrace-Replays', '2'],
    ]),
  ]
  assert.deepEqual(replayHeaders(place, stored, now), [
    ['traceparent', '00-1-2-01'],
    ['X-One', '1'],
    ['Millrace-Key', 'k'],
    ['x-one', '2'],
    ['Millrace-Job-Id', 'order-7'],
    ['Millrace-Enqueued-At', '2026-01-31T11:59:00.000Z'],
    ['Millrace-Replays', '3'],
    ['Millrace-Replay-Of', 'JOBS_DEAD:12:1700000000000'],
  ])
})

test('an expiry is dropped once it has passed, and only then', () => {
  const expiries = ['2026-01-31T12:00:00Z', '2026-01-31T13:30:00+02:00', '2026-01-31T12:00:00.001Z', 'never']
  const kept = replayHeaders(
    place,
    expiries.map((value) => ['millrace-expires-at', value]),
    now,
  )
  assert.deepEqual(
    kept.slice(0, -2).map(([, value]) => value),
    ['2026-01-31T12:00:00.001Z', 'never'],
  )
})

test('replays are counted from what is there, and from 0 when that is no number', () => {
  const counts = ['0', '7', '', '-1', '1e3', 'x'].map((value) => {
    const headers = new Map(replayHeaders(place, [['MILLRACE-REPLAYS', value]], now))
    return headers.get('Millrace-Replays')
  })
  assert.deepEqual(counts, ['1', '8', '1', '1', '1', '1'])
})

const theirName = fc.oneof(
  fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,12}$/),
  fc.constantFrom('Millrace-Key', 'Millrace-Max-Attempts', 'traceparent', 'Nats-Rollup', 'nats-msg-id'),
)
const theirHeaders = fc.array(fc.tuple(theirName, fc.string({ maxLength: 20 })), { maxLength: 10 })

test('what a replay publishes, dying again, gives an equal dead letter but for what is counted', () => {
  fc.assert(
    fc.property(theirHeaders, fc.nat({ max: 3 }), (jobHeaders, replays) => {
      const before: HeaderEntry[] = replays === 0 ? [] : [['Millrace-Replays', String(replays)]]
      const first = deadLetterHeaders(letter, [...jobHeaders, ...before])
      const again: HeaderEntry[] = [
        ...replayHeaders(place, [['Nats-Msg-Id', 'dead:JOBS:42'], ...first], now),
        ['Nats-Msg-Id', replayId(place)],
      ]
      const second = deadLetterHeaders(letter, again)
      const uncounted = (headers: HeaderEntry[]) => headers.filter(([name]) => name !== 'Millrace-Replays')
      assert.deepEqual(uncounted(second), uncounted(first))
      assert.equal(new Map(second).get('Millrace-Replays'), String(replays + 1))
      assert.ok(again.every(([name, value]) => !/^millrace-(dead|error)-/i.test(name) || value === undefined))
    }),
  )
})

test('a job is known as a replay by its header and its message id together', () => {
  const headers = { 'millrace-replay-of': 'JOBS_DEAD:12:1700000000000', 'nats-msg-id': 'replay:JOBS_DEAD:12' }
  assert.deepEqual(replayOfJob(headers), place)
  assert.deepEqual(replayOfJob({ ...headers, 'nats-msg-id': replayId(place, true) }), place)
  for (const wrong of [
    {},
    { 'nats-msg-id': 'replay:JOBS_DEAD:12' },
    { ...headers, 'nats-msg-id': 'replay:JOBS_DEAD:13' },
    { ...headers, 'millrace-replay-of': 'JOBS:12:1700000000000' },
    { ...headers, 'millrace-replay-of': 'JOBS_DEAD:12:soon' },
  ])
    assert.equal(replayOfJob(wrong), undefined)
  assert.ok(isReplayOf(place, [['millrace-replay-of', 'JOBS_DEAD:12:1700000000000']]))
  assert.ok(!isReplayOf(place, [['Millrace-Replay-Of', 'JOBS_DEAD:12:1800000000000']]))
})
