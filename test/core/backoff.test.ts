import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Backoff, backoffDelayMs } from '#src/core/backoff.js'

const doubling: Backoff = { kind: 'exponential', baseMs: 1_000, factor: 2, maxMs: 60_000, jitter: 'none' }

test('without jitter the delay grows by its factor up to its limit', () => {
  const delays = [1, 2, 3, 4, 5, 6, 7, 8].map((attempt) => backoffDelayMs(doubling, attempt, Math.random))
  assert.deepEqual(delays, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000])
})

test('full jitter draws evenly between nothing and the whole delay', () => {
  const jittered: Backoff = { ...doubling, jitter: 'full' }
  const at = (share: number) => backoffDelayMs(jittered, 3, () => share)
  assert.deepEqual([at(0), at(0.25), at(0.5), at(0.9999)], [0, 1_000, 2_000, 4_000])
})

/** Every backoff that a definition or the settings may ask for, the absurd ones too. */
const backoffs = fc.record<Backoff>({
  kind: fc.constant('exponential'),
  baseMs: fc.oneof(
    fc.constant(0),
    fc.nat(600_000),
    fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }),
  ),
  factor: fc.oneof(
    fc.double({ min: 1, max: 10, noNaN: true }),
    fc.double({ min: 1, noNaN: true, noDefaultInfinity: true }),
  ),
  maxMs: fc.oneof(fc.constant(0), fc.nat(86_400_000)),
  jitter: fc.constantFrom('full', 'none'),
})
const attempts = fc.integer({ min: 1, max: 10_000 })
const shares = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })

test('every delay is a whole number between 0 and the longest delay', () => {
  fc.assert(
    fc.property(backoffs, attempts, shares, (backoff, attempt, share) => {
      const delayMs = backoffDelayMs(backoff, attempt, () => share)
      assert.ok(Number.isInteger(delayMs), `${delayMs}`)
      assert.ok(delayMs >= 0 && delayMs <= backoff.maxMs, `${delayMs}`)
    }),
    { examples: [[{ ...doubling, baseMs: 0 }, 2_000, 0.5]] },
  )
})

test('without jitter a later attempt never waits less', () => {
  fc.assert(
    fc.property(backoffs, attempts, (backoff, attempt) => {
      const plain: Backoff = { ...backoff, jitter: 'none' }
      assert.ok(
        backoffDelayMs(plain, attempt + 1, Math.random) >= backoffDelayMs(plain, attempt, Math.random),
      )
    }),
  )
})
