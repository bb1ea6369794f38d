import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AttemptRecord } from '#src/core/attempt.js'
import type { InFlightJob } from '#src/engine/in-flight-job.js'
import { OwnRecords } from '#src/engine/own-records.js'
import { heldJob } from '../support/fake-engine-parts.ts'

const failedOnce: AttemptRecord = {
  released: 0,
  failures: 1,
  history: [{ attempt: 1, outcome: 'failed', error: 'no luck' }],
}

/** A job as it is when its record was stored. */
function failed(sequence: number, record = failedOnce, isAllOurs = true): InFlightJob {
  return Object.assign(heldJob(sequence), { record, isAllOurs })
}

test('the next delivery of a job that was nobody else’s has the record that was stored, once', () => {
  const own = new OwnRecords()
  own.stored(failed(1))
  assert.equal(own.take(heldJob(1, { deliveries: 2 })), failedOnce)
  assert.equal(own.take(heldJob(1, { deliveries: 2 })), undefined)
})

test('G4: a record has to be read when somebody else may have had the job', () => {
  const own = new OwnRecords()
  const cases: [string, InFlightJob, InFlightJob][] = [
    ['another job', failed(1), heldJob(2, { deliveries: 2 })],
    ['another stream', failed(1), heldJob(1, { deliveries: 2, stream: 'JOBS_HIGH' })],
    ['its place in a stream that was made anew', failed(1), heldJob(1, { deliveries: 2, storedAt: 7 })],
    ['one delivery went elsewhere', failed(1), heldJob(1, { deliveries: 3 })],
    ['the broker counts anew', failed(1), heldJob(1, { deliveries: 1 })],
    ['others had it before', failed(1, failedOnce, false), heldJob(1, { deliveries: 2 })],
    ['an end is not on record', failed(1, { ...failedOnce, failures: 0 }), heldJob(1, { deliveries: 2 })],
  ]
  for (const [why, before, next] of cases) {
    own.stored(before)
    assert.equal(own.take(next), undefined, why)
    own.clear()
  }
})

test('long records are not kept', () => {
  const own = new OwnRecords()
  const entry = { attempt: 1, outcome: 'failed' }
  own.stored(failed(1, { released: 0, failures: 3, history: [entry, entry, entry] }))
  assert.equal(own.take(heldJob(1, { deliveries: 4 })), undefined)
})

test('of more jobs than are kept the first are let go of', () => {
  const own = new OwnRecords(2)
  for (const sequence of [1, 2, 3]) own.stored(failed(sequence))
  const kept = [1, 2, 3].map((sequence) => own.take(heldJob(sequence, { deliveries: 2 })) !== undefined)
  assert.deepEqual(kept, [false, true, true])
})
