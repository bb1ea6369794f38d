import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type AttemptError, cancelled, type Outcome } from '#src/core/outcome.js'
import { deadReasons, decideVerdict, type RetryPolicy } from '#src/core/verdict.js'

const error: AttemptError = { code: 'handler_error', message: 'no luck' }
const policy: RetryPolicy = {
  maxAttempts: 3,
  backoff: { kind: 'exponential', baseMs: 1_000, factor: 2, maxMs: 60_000, jitter: 'none' },
}
const decide = (outcome: Outcome, attempt: number) => decideVerdict(outcome, attempt, policy, () => 0.5)

test('a completed attempt is acked, also beyond the last one', () => {
  assert.deepEqual(decide({ kind: 'completed' }, 1), { kind: 'ack' })
  assert.deepEqual(decide({ kind: 'completed' }, 9), { kind: 'ack' })
})

test('a failure, a deadline and a crash are attempted again after the backoff', () => {
  for (const kind of ['failed', 'timed_out', 'crashed'] as const) {
    assert.deepEqual(decide({ kind, error }, 1), { kind: 'retry', delayMs: 1_000 })
    assert.deepEqual(decide({ kind, error }, 2), { kind: 'retry', delayMs: 2_000 })
  }
})

test('the last attempt gives its reason to the dead letter', () => {
  assert.deepEqual(decide({ kind: 'failed', error }, 3), { kind: 'dead_letter', reason: 'exhausted' })
  assert.deepEqual(decide({ kind: 'timed_out', error }, 3), { kind: 'dead_letter', reason: 'deadline' })
  assert.deepEqual(decide({ kind: 'crashed', error }, 3), { kind: 'dead_letter', reason: 'crashed' })
})

test('a permanent failure is a dead letter at the first attempt', () => {
  const outcome: Outcome = { kind: 'failed', error, steer: { kind: 'permanent' } }
  assert.deepEqual(decide(outcome, 1), { kind: 'dead_letter', reason: 'permanent' })
  assert.deepEqual(decide(outcome, 3), { kind: 'dead_letter', reason: 'permanent' })
})

test('a cancelled attempt is a dead letter, whichever attempt it was', () => {
  for (const attempt of [1, 3]) {
    assert.deepEqual(decide(cancelled, attempt), { kind: 'dead_letter', reason: 'cancelled' })
  }
})

test('retry later takes its own delay but still counts', () => {
  const outcome: Outcome = { kind: 'failed', error, steer: { kind: 'retry_later', delayMs: 77 } }
  assert.deepEqual(decide(outcome, 2), { kind: 'retry', delayMs: 77 })
  assert.deepEqual(decide(outcome, 3), { kind: 'dead_letter', reason: 'exhausted' })
})

test('a snooze and an interruption are given back however many attempts were made', () => {
  assert.deepEqual(decide({ kind: 'snoozed', delayMs: 50 }, 99), { kind: 'release', delayMs: 50 })
  assert.deepEqual(decide({ kind: 'interrupted' }, 99), { kind: 'release', delayMs: 0 })
})

test('a job that cannot run is a dead letter at any attempt', () => {
  assert.deepEqual(decide({ kind: 'invalid', error }, 1), { kind: 'dead_letter', reason: 'invalid' })
  assert.deepEqual(decide({ kind: 'expired' }, 1), { kind: 'dead_letter', reason: 'expired' })
})

const delays = fc.nat(1_000_000)
const outcomes: fc.Arbitrary<Outcome> = fc.oneof(
  fc.constantFrom<Outcome>({ kind: 'completed' }, { kind: 'interrupted' }, { kind: 'expired' }),
  fc.constantFrom('timed_out', 'crashed', 'invalid', 'cancelled').map((kind): Outcome => ({ kind, error })),
  fc.constant<Outcome>({ kind: 'failed', error }),
  fc.constant<Outcome>({ kind: 'failed', error, steer: { kind: 'permanent' } }),
  delays.map((delayMs): Outcome => ({ kind: 'failed', error, steer: { kind: 'retry_later', delayMs } })),
  delays.map((delayMs): Outcome => ({ kind: 'snoozed', delayMs })),
)

test('every outcome at every attempt has one verdict, and no attempt follows the last', () => {
  fc.assert(
    fc.property(
      outcomes,
      fc.integer({ min: 1, max: 200 }),
      fc.integer({ min: 1, max: 100 }),
      (outcome, attempt, maxAttempts) => {
        const verdict = decideVerdict(outcome, attempt, { ...policy, maxAttempts }, () => 0.5)
        if (verdict.kind === 'dead_letter') assert.ok(deadReasons.includes(verdict.reason))
        else if (verdict.kind !== 'ack') assert.ok(verdict.delayMs >= 0)
        if (verdict.kind === 'retry') assert.ok(attempt < maxAttempts)
        assert.equal(verdict.kind === 'ack', outcome.kind === 'completed')
        assert.equal(verdict.kind === 'release', ['snoozed', 'interrupted'].includes(outcome.kind))
      },
    ),
  )
})
