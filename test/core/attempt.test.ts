import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  type AttemptRecord,
  countAttempt,
  noRecord,
  readAttemptRecord,
  withFailure,
  withPriorHistory,
  withRelease,
  withRepeat,
} from '#src/core/attempt.js'
import { encodeHistory } from '#src/core/history.js'
import { deadReasons } from '#src/core/verdict.js'

const records: fc.Arbitrary<AttemptRecord> = fc.record({
  released: fc.nat(1_000),
  failures: fc.nat(1_000),
  history: fc.constant([]),
})
const deliveries = fc.integer({ min: 1, max: 10_000 })

test('the first delivery is the first attempt', () => {
  assert.deepEqual(countAttempt(1, noRecord), { attempt: 1, unexplained: 0 })
})

test('deliveries that nobody wrote down count and are unexplained', () => {
  assert.deepEqual(countAttempt(4, noRecord), { attempt: 4, unexplained: 3 })
  assert.deepEqual(countAttempt(4, { ...noRecord, failures: 1, released: 1 }), { attempt: 3, unexplained: 1 })
})

test('a broker that forgot the delivery count does not give attempts back', () => {
  assert.deepEqual(countAttempt(1, { ...noRecord, failures: 4 }), { attempt: 5, unexplained: 0 })
})

test('an attempt is at least 1, at least one more than the failures, and nothing is unexplained below 0', () => {
  fc.assert(
    fc.property(deliveries, records, (count, record) => {
      const { attempt, unexplained } = countAttempt(count, record)
      assert.ok(attempt >= 1)
      assert.ok(attempt >= record.failures + 1)
      assert.ok(unexplained >= 0)
      assert.equal(attempt, record.failures + unexplained + 1)
    }),
  )
})

test('an attempt under the delivery of an earlier one counts, whether it fails or takes its process with it', () => {
  type Past = 'failure' | 'release' | 'lost' | 'held failure' | 'held snooze'
  const pasts = fc.array(fc.constantFrom<Past>('failure', 'release', 'lost', 'held failure', 'held snooze'), {
    maxLength: 60,
    size: 'max',
  })
  fc.assert(
    fc.property(pasts, (past) => {
      let record = noRecord
      let deliveries = 1
      for (const step of past) {
        if (step === 'release' || step === 'held snooze') record = withRelease(record)
        if (step.endsWith('failure')) record = withFailure(record, { attempt: 1, outcome: 'failed' })
        if (step.startsWith('held')) record = withRepeat({ ...record, notBefore: 1 })
        else deliveries += 1
      }
      const lost = past.filter((step) => step === 'lost').length
      const failures = past.filter((step) => step.endsWith('failure')).length
      assert.deepEqual(countAttempt(deliveries, record), { attempt: failures + lost + 1, unexplained: lost })
      assert.equal(withRepeat(record).notBefore, undefined)
    }),
  )
})

type Step = 'release' | 'failure' | 'lost'

test('releases never count: the attempt after any past is one more than its failures and lost deliveries', () => {
  const pasts = fc.array(fc.constantFrom<Step>('release', 'failure', 'lost'), { maxLength: 60 })
  fc.assert(
    fc.property(pasts, (past) => {
      let record = noRecord
      for (const step of past) {
        if (step === 'release') record = withRelease(record)
        if (step === 'failure') record = withFailure(record, { attempt: 1, outcome: 'failed' })
      }
      const lost = past.filter((step) => step === 'lost').length
      const failures = past.filter((step) => step === 'failure').length
      assert.deepEqual(countAttempt(past.length + 1, record), {
        attempt: failures + lost + 1,
        unexplained: lost,
      })
    }),
  )
})

test('a release keeps what is known and a failure adds to it', () => {
  const dead = { reason: 'permanent' as const, attempts: 2 }
  const released = withRelease({
    released: 1,
    failures: 2,
    history: [{ attempt: 1, outcome: 'failed' }],
    dead,
  })
  assert.deepEqual(released, { released: 2, failures: 2, history: [{ attempt: 1, outcome: 'failed' }], dead })
  const failed = withFailure({ released: 1, failures: 2, history: [] }, { attempt: 3, outcome: 'crashed' })
  assert.deepEqual(failed, { released: 1, failures: 3, history: [{ attempt: 3, outcome: 'crashed' }] })
})

test('attempts of before a move come first, and only once', () => {
  const [first, second] = [
    { attempt: 1, outcome: 'failed' },
    { attempt: 2, outcome: 'failed' },
  ]
  assert.equal(withPriorHistory(noRecord, []), noRecord)
  const record = withPriorHistory(noRecord, [first])
  assert.deepEqual(record.history, [first])
  const failed = withFailure(record, second)
  assert.deepEqual(failed.history, [first, second])
  assert.deepEqual(withPriorHistory(failed, [first]), failed)
  assert.deepEqual(withPriorHistory({ ...noRecord, history: [second] }, [first]).history, [first, second])
})

test('a stored record is read as it was written', () => {
  const record = {
    released: 2,
    failures: 1,
    history: [{ attempt: 1, outcome: 'failed', error: 'no luck' }],
    repeats: 1,
    notBefore: 1_700_000_000_000,
    dueAt: 1_700_000_000_000,
    dead: { reason: 'permanent' as const, attempts: 2, error: { code: 'handler_error', message: 'no luck' } },
  }
  assert.deepEqual(readAttemptRecord({ stream: 'x', ...record }), record)
})

test('whatever a record holds, its attempts are counted, and nothing of it can break what comes after', () => {
  const odd = fc.oneof(
    fc.jsonValue(),
    fc.constantFrom(-1, 1.5, 1e308, '2', null, true, [], [null], [{ attempt: 1 }]),
  )
  const fields = {
    released: odd,
    failures: odd,
    history: odd,
    repeats: odd,
    notBefore: odd,
    dueAt: odd,
    dead: odd,
  }
  const dead = fc.record({
    reason: odd,
    attempts: odd,
    error: fc.oneof(odd, fc.record({ code: odd, message: odd })),
  })
  fc.assert(
    fc.property(
      fc.record({ ...fields, dead: fc.oneof(odd, dead) }, { requiredKeys: [] }),
      fc.integer({ min: 1, max: 9 }),
      (stored, deliveries) => {
        const record = readAttemptRecord(JSON.parse(JSON.stringify(stored)) as Record<string, unknown>)
        const { attempt, unexplained } = countAttempt(deliveries, record)
        assert.ok(Number.isInteger(attempt) && attempt >= 1 && Number.isInteger(unexplained))
        const failed = withFailure(withRelease(record), { attempt, outcome: 'failed' })
        assert.ok(encodeHistory(failed.history).length <= 8_192)
        if (record.dead) assert.ok(deadReasons.includes(record.dead.reason))
        assert.deepEqual(
          readAttemptRecord(JSON.parse(JSON.stringify(record)) as Record<string, unknown>),
          record,
        )
      },
    ),
    { numRuns: 1_000 },
  )
})
