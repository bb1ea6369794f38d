import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fakeEngine } from '../support/fake-engine-parts.ts'

const completed = { kind: 'completed' } as const

test('suspects run one at a time, and the next one when the first has ended', async () => {
  const { clock, addLane, deliver, end } = fakeEngine()
  const lanes = [addLane(), addLane()]
  const [one, two] = [(await deliver(1, { deliveries: 2 }))!, (await deliver(2, { deliveries: 2 }))!]
  await clock.pass(100)
  assert.deepEqual(
    lanes.flatMap((lane) => lane.jobs()),
    [one],
  )
  await end(one.lane as (typeof lanes)[0], one, completed)
  assert.deepEqual(
    lanes.flatMap((lane) => lane.jobs()),
    [two],
  )
})

test('a suspect that waits for its turn holds no room, so that other jobs of its handler go on', async () => {
  const { broker, clock, engine, addLane, deliver, end } = fakeEngine()
  const [handler] = engine.handlers
  const lane = addLane()
  addLane()
  for (const sequence of [1, 2, 3]) await deliver(sequence, { deliveries: 2 })
  await clock.pass(200)
  assert.equal(handler!.held, 1)
  assert.ok(broker.asked('a') >= 1)
  const [first] = lane.jobs()
  lane.begin(first!)
  await end(lane, first!, completed)
  await clock.pass(1)
  assert.equal(handler!.held, 1)
})
