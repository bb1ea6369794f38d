import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decodeOutcome, encodeCompleted, encodeDead } from '#src/core/job-outcome.js'

const job = { jobId: 'JOBS:7', handler: 'email.send', attempts: 2, at: Date.UTC(2026, 0, 31, 12) }
const end = { jobId: 'JOBS:7', handler: 'email.send', attempts: 2, at: new Date(job.at) }

test('the entry of a completed job holds its result beside what the contract says', () => {
  const entry = encodeCompleted(job, { kind: 'json', json: '{"sent":true}' })
  assert.deepEqual(JSON.parse(entry), {
    job_id: 'JOBS:7',
    handler: 'email.send',
    outcome: 'completed',
    attempts: 2,
    at: '2026-01-31T12:00:00.000Z',
    result: { sent: true },
  })
})

test('a result that was nothing, unusable or never told is absent', () => {
  for (const returned of [undefined, { kind: 'json', json: undefined } as const]) {
    const entry = JSON.parse(encodeCompleted(job, returned)) as object
    assert.equal('result' in entry || 'error' in entry, false)
  }
  const error = { code: 'result_too_large', message: 'too\nlarge' }
  const entry = JSON.parse(encodeCompleted(job, { kind: 'unusable', error })) as Record<string, unknown>
  assert.equal('result' in entry, false)
  assert.deepEqual(entry['error'], { code: 'result_too_large', message: 'too large' })
})

test('the entry of a dead job has its reason, and an error that is cut to a size', () => {
  const error = { code: 'handler_error', message: 'm'.repeat(5_000), stack: 'kept elsewhere' }
  const entry = JSON.parse(encodeDead(job, 'exhausted', error)) as Record<string, unknown>
  assert.equal(entry['outcome'], 'dead')
  assert.equal(entry['reason'], 'exhausted')
  assert.ok((entry['error'] as { message: string }).message.length <= 1_024)
  assert.ok(!JSON.stringify(entry).includes('kept elsewhere'))
  assert.equal('error' in (JSON.parse(encodeDead(job, 'expired', undefined)) as object), false)
})

test('every result comes back as JSON makes it', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.string(), (value, jobId) => {
      const json = JSON.stringify(value)
      const outcome = decodeOutcome(encodeCompleted({ ...job, jobId }, { kind: 'json', json }))
      assert.deepEqual(outcome, {
        kind: 'completed',
        ...end,
        jobId,
        result: JSON.parse(json) as unknown,
        error: undefined,
      })
    }),
  )
})

test('what is none of our entries is read as none', () => {
  for (const text of ['', 'null', '7', '{}', '{"job_id":"a"}', '{'])
    assert.equal(decodeOutcome(text), undefined)
  const entry = encodeDead(job, 'exhausted', undefined)
  assert.equal(decodeOutcome(entry.replace('exhausted', 'unheard-of')), undefined)
  assert.deepEqual(decodeOutcome(entry), { kind: 'dead', ...end, reason: 'exhausted', error: undefined })
})

test('an entry that somebody else wrote is an outcome of the right shape, or none', () => {
  const odd = fc.oneof(
    fc.jsonValue(),
    fc.constantFrom('completed', 'dead', 'exhausted', '2026-01-01T00:00:00Z', { code: 1, message: {} }),
  )
  const names = ['job_id', 'handler', 'attempts', 'at', 'outcome', 'reason', 'error', 'result']
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...names), odd), (entry) => {
      const outcome = decodeOutcome(JSON.stringify(entry))
      if (!outcome) return
      assert.ok(Number.isSafeInteger(outcome.attempts) && !Number.isNaN(outcome.at.getTime()))
      assert.ok(outcome.error === undefined || typeof outcome.error.message === 'string')
    }),
    { numRuns: 2_000 },
  )
  const { at, ...rest } = JSON.parse(encodeDead(job, 'exhausted', undefined)) as Record<string, unknown>
  assert.ok(typeof at === 'string')
  assert.equal(decodeOutcome(JSON.stringify({ ...rest, at: 'never' })), undefined)
  assert.equal(decodeOutcome(JSON.stringify({ ...rest, at, error: 'text' }))?.error, undefined)
})
