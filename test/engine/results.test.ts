import assert from 'node:assert/strict'
import { test } from 'node:test'
import { completed } from '#src/core/outcome.js'
import { fakeEngine, Gate, settled } from '../support/fake-engine-parts.ts'

/** An engine whose handler `a` keeps results, and a job of it that runs. */
async function running(overrides: { result?: boolean } = {}) {
  const parts = fakeEngine({ handlers: [{ result: true, ...overrides }] })
  const lane = parts.addLane()
  const job = (await parts.deliver(1))!
  await parts.clock.pass(1)
  lane.begin(job)
  job.returned = { kind: 'json', json: '{"sum":3}' }
  parts.broker.take()
  return { ...parts, lane, job }
}

test('the outcome is stored before the job is acked, which takes up no room meanwhile', async () => {
  const { broker, lane, job, end, engine } = await running()
  broker.outcomeGate = new Gate()
  await end(lane, job, completed)
  assert.deepEqual(broker.take('pull'), ['outcome JOBS:1'])
  assert.equal(job.handler.held, 0)
  assert.equal(engine.inFlight.size, 1, 'its lease is renewed')
  await broker.outcomeGate.open()
  assert.deepEqual(broker.take('pull'), ['ack r1.1'])
  assert.equal(engine.inFlight.size, 0)
  assert.deepEqual(broker.outcomes.get('JOBS:1'), {
    job_id: 'JOBS:1',
    handler: 'a',
    outcome: 'completed',
    attempts: 1,
    at: broker.outcomes.get('JOBS:1')!['at'],
    result: { sum: 3 },
  })
})

test('a handler without results pays nothing', async () => {
  const { broker, lane, job, end } = await running({ result: false })
  await end(lane, job, completed)
  assert.deepEqual(broker.take('pull'), ['ack r1.1'])
})

test('an outcome that is refused is tried again, and given up after a while with an ack', async () => {
  const { broker, clock, observer, lane, job, end } = await running()
  broker.bucketError = new Error('no such bucket')
  await end(lane, job, completed)
  await clock.pass(10_000)
  assert.equal(broker.take('pull', 'extend').filter((call) => call !== 'outcome JOBS:1').length, 0)
  await clock.pass(10_000)
  assert.ok(broker.take('pull', 'extend', 'outcome').includes('ack r1.1'))
  assert.deepEqual(observer.take('resultLost', 'settled'), ['resultLost JOBS:1', 'settled JOBS:1 ack'])
})

test('while the broker is away an outcome waits for as long as it takes', async () => {
  const { broker, clock, lane, job, end } = await running()
  broker.bucketError = new Error('timeout')
  broker.connected = false
  await end(lane, job, completed)
  await clock.pass(25_000)
  assert.ok(!broker.take().includes('ack r1.1'))
  broker.connected = true
  broker.bucketError = undefined
  await clock.pass(2_000)
  assert.ok(broker.take().includes('ack r1.1'))
  assert.ok(broker.outcomes.has('JOBS:1'))
})

test('a dead job has its outcome after its dead letter and before its ack', async () => {
  const { broker, lane, job, end } = await running()
  const error = { code: 'permanent_failure', message: 'never' }
  await end(lane, job, { kind: 'failed', error, steer: { kind: 'permanent' } })
  const calls = broker.take('pull').filter((call) => /^(dead|outcome|ack)/.test(call))
  assert.deepEqual(calls, ['dead 1 permanent', 'outcome JOBS:1', 'ack r1.1'])
  const { outcome, reason } = broker.outcomes.get('JOBS:1')!
  assert.deepEqual([outcome, reason], ['dead', 'permanent'])
})

test('a result that cannot be kept is said once, and the job completes', async () => {
  const { broker, observer, lane, job, end } = await running()
  job.returned = { kind: 'unusable', error: { code: 'result_too_large', message: 'too large' } }
  await end(lane, job, completed)
  assert.deepEqual(observer.take('resultUnusable', 'settled'), [
    'resultUnusable JOBS:1 result_too_large',
    'settled JOBS:1 ack',
  ])
  assert.deepEqual(broker.outcomes.get('JOBS:1')!['error'], {
    code: 'result_too_large',
    message: 'too large',
  })
})

test('a stop waits a moment for what is on its way, then acks without it', async () => {
  const { broker, clock, observer, engine, lane, job, end } = await running()
  broker.outcomeGate = new Gate()
  await end(lane, job, completed)
  engine.parts.settlement.stop()
  await clock.pass(300)
  assert.ok(!broker.take().includes('ack r1.1'))
  await clock.pass(200)
  assert.ok(broker.take().includes('ack r1.1'))
  assert.deepEqual(observer.take('resultLost'), ['resultLost JOBS:1'])
})

test('a stop gives up at once what had been refused', async () => {
  const { broker, engine, lane, job, end } = await running()
  broker.bucketError = new Error('no such bucket')
  await end(lane, job, completed)
  engine.parts.settlement.stop()
  await settled()
  assert.ok(broker.take().includes('ack r1.1'))
})
