import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InFlight } from '#src/engine/in-flight.js'
import { heldJob } from '../support/fake-engine-parts.ts'

test('a job is found by its sequence until it is removed', () => {
  const inFlight = new InFlight()
  const job = heldJob(7)
  inFlight.add(job)
  assert.equal(inFlight.find(7), job)
  assert.equal(inFlight.size, 1)
  inFlight.remove(job)
  assert.equal(inFlight.find(7), undefined)
  assert.equal(inFlight.size, 0)
})

test('removing a job leaves another one of the same sequence alone', () => {
  const inFlight = new InFlight()
  const [old, current] = [heldJob(7), heldJob(7)]
  inFlight.add(current)
  inFlight.remove(old)
  assert.equal(inFlight.find(7), current)
})
