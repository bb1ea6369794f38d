import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorCodes, MillraceError, PermanentFailure, RetryLater, Snooze } from '#src/core/errors.js'

test('every error carries its code, its name and its cause', () => {
  const cause = new Error('below')
  const errors = [
    new MillraceError('internal', 'broken', { cause }),
    new PermanentFailure('never', { cause }),
    new RetryLater({ delayMs: 5, cause }),
  ]
  assert.deepEqual(
    errors.map(({ name, code }) => [name, code]),
    [
      ['MillraceError', 'internal'],
      ['PermanentFailure', 'permanent_failure'],
      ['RetryLater', 'retry_later'],
    ],
  )
  for (const error of errors) assert.equal(error.cause, cause)
  assert.deepEqual([new Snooze({ delayMs: 5 }).name, new Snooze({ delayMs: 5 }).code], ['Snooze', 'snooze'])
})

test('a delay that is no number of milliseconds is refused where it is written', () => {
  for (const delayMs of [-1, Number.NaN, Number.POSITIVE_INFINITY, '5' as unknown as number]) {
    assert.throws(() => new RetryLater({ delayMs }), RangeError)
    assert.throws(() => new Snooze({ delayMs }), RangeError)
  }
  assert.equal(new RetryLater({ delayMs: 0 }).delayMs, 0)
  assert.equal(new Snooze({ delayMs: 0.5 }).message, 'snoozed for 0.5 ms')
})

test('every code has a meaning, in words', () => {
  for (const [code, meaning] of Object.entries(errorCodes)) {
    assert.match(code, /^[a-z0-9]+(_[a-z0-9]+)*$/)
    assert.ok(meaning.length > 10, code)
  }
})
