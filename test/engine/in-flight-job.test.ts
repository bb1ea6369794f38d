import assert from 'node:assert/strict'
import { test } from 'node:test'
import { handlerState, heldJob } from '../support/fake-engine-parts.ts'

test("a job begins with its handler's limits and the lease of its arrival", () => {
  const handler = handlerState({ deadlineMs: 700 })
  const job = heldJob(7, { handler, now: 123, deliveries: 2 })
  assert.deepEqual(
    [job.deadlineMs, job.maxAttempts, job.renewedAt, job.deliveries, job.attempt],
    [700, 3, 123, 2, 0],
  )
})

test('a job without an id of its own is known by its place in the stream', () => {
  const job = heldJob(7)
  assert.equal(job.jobId, 'JOBS:7')
  job.id = 'order-7'
  assert.equal(job.jobId, 'order-7')
})
