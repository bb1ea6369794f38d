import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AbortCode } from '#src/core/handler-definition.js'
import { cancelled, type Outcome, timedOut, underAbort } from '#src/core/outcome.js'

const error = { code: 'handler_error', message: 'no luck' }
const all: Outcome[] = [
  { kind: 'completed' },
  { kind: 'failed', error },
  { kind: 'failed', error, steer: { kind: 'permanent' } },
  { kind: 'timed_out', error },
  { kind: 'crashed', error },
  { kind: 'snoozed', delayMs: 5 },
  { kind: 'interrupted' },
  { kind: 'invalid', error },
  { kind: 'expired' },
]

test('an attempt whose signal was never aborted keeps its outcome', () => {
  for (const outcome of all) assert.equal(underAbort(outcome, undefined, 100), outcome)
})

test('returning is completing and never having run is never having run, whatever was aborted', () => {
  for (const code of ['deadline', 'shutdown', 'lease_lost', 'cancelled'] satisfies AbortCode[]) {
    for (const outcome of all.filter(({ kind }) => ['completed', 'invalid', 'expired'].includes(kind))) {
      assert.equal(underAbort(outcome, code, 100), outcome)
    }
  }
})

test('after the deadline everything but returning is timed out, also a steering error', () => {
  for (const outcome of all.filter(({ kind }) => !['completed', 'invalid', 'expired'].includes(kind))) {
    assert.deepEqual(underAbort(outcome, 'deadline', 100), timedOut(100))
  }
})

test('after a cancel everything but returning is cancelled, also a crash', () => {
  for (const outcome of all.filter(({ kind }) => !['completed', 'invalid', 'expired'].includes(kind))) {
    assert.deepEqual(underAbort(outcome, 'cancelled', 100), cancelled)
  }
})

test('after a shutdown or a lost lease a failure is an interruption, and a crash stays a crash', () => {
  for (const code of ['shutdown', 'lease_lost'] as const) {
    assert.deepEqual(underAbort({ kind: 'failed', error }, code, 100), { kind: 'interrupted' })
    assert.deepEqual(underAbort({ kind: 'snoozed', delayMs: 5 }, code, 100), { kind: 'interrupted' })
    assert.deepEqual(underAbort({ kind: 'crashed', error }, code, 100), { kind: 'crashed', error })
  }
})

test('a timed out attempt says which deadline it was', () => {
  const outcome = timedOut(1_500)
  assert.equal(outcome.kind, 'timed_out')
  assert.equal('error' in outcome && outcome.error.code, 'deadline_exceeded')
  assert.match('error' in outcome ? outcome.error.message : '', /1500 ms/)
})
