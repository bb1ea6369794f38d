import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InFlight } from '#src/engine/in-flight.js'
import { heldJob } from '../support/fake-engine-parts.ts'

test('a job is found by its sequence until it is removed', () => {
  const inFlight = new InFlight()
  const job = heldJob(7)
  inFlight.add(job)
  assert.equal(inFlight.find('JOBS', 7), job)
  assert.equal(inFlight.size, 1)
  inFlight.remove(job)
  assert.equal(inFlight.find('JOBS', 7), undefined)
  assert.equal(inFlight.size, 0)
})

test('removing a job leaves another one of the same sequence alone', () => {
  const inFlight = new InFlight()
  const [old, current] = [heldJob(7), heldJob(7)]
  inFlight.add(current)
  inFlight.remove(old)
  assert.equal(inFlight.find('JOBS', 7), current)
})

test('jobs at the same place of two streams are two jobs', () => {
  const inFlight = new InFlight()
  const [normal, high] = [heldJob(7), heldJob(7, { priority: 'high' })]
  inFlight.add(normal)
  inFlight.add(high)
  assert.deepEqual([...inFlight.all()], [normal, high])
  inFlight.remove(normal)
  assert.deepEqual([inFlight.find('JOBS', 7), inFlight.find('JOBS_HIGH', 7)], [undefined, high])
  assert.equal(inFlight.size, 1)
})
