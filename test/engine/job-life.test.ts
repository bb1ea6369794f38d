import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fakeEngine } from '../support/fake-engine-parts.ts'

const completed = { kind: 'completed' } as const

test('a job that arrives is run and acked, and each step is told', async () => {
  const { broker, clock, observer, addLane, deliver, end, engine } = fakeEngine()
  const lane = addLane()
  await clock.pass(40)
  const job = (await deliver(7))!
  assert.deepEqual(lane.jobs(), [job])
  lane.begin(job)
  await clock.pass(5)
  await end(lane, job, completed, 5)
  assert.deepEqual(broker.take('pull'), ['ack r7.1'])
  assert.deepEqual(observer.take(), [
    'started JOBS:7 attempt=1 thread=1',
    'ended JOBS:7 completed duration=5 wait=40',
    'settled JOBS:7 ack',
  ])
  assert.equal(engine.inFlight.size, 0)
  assert.deepEqual([engine.handlers[0]!.held, engine.handlers[0]!.posted], [0, 0])
})
