import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InFlight } from '#src/engine/in-flight.js'
import { heldJob, settled } from '../support/fake-engine-parts.ts'

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

test('whoever waits for emptiness is told once the last job is gone', async () => {
  const inFlight = new InFlight()
  await inFlight.empty()
  const jobs = [heldJob(1), heldJob(2)]
  for (const job of jobs) inFlight.add(job)
  let told = 0
  for (let index = 0; index < 2; index += 1) {
    void inFlight.empty().then(() => {
      told += 1
    })
  }
  inFlight.remove(jobs[0]!)
  await settled()
  assert.equal(told, 0)
  inFlight.remove(jobs[1]!)
  await settled()
  assert.equal(told, 2)
})
