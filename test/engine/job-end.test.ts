import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ackWaitMs, fakeEngine, settled } from '../support/fake-engine-parts.ts'

const error = { code: 'handler_error', message: 'no luck' }
const cause = { code: 'thread_died', message: 'the thread ended' }
const completed = { kind: 'completed' } as const
const failed = { kind: 'failed', error } as const

test('a failure is recorded, given back after its backoff and told', async () => {
  const { broker, clock, observer, addLane, deliver, end } = fakeEngine()
  const lane = addLane()
  await end(lane, (await deliver(7))!, failed, 12.4)
  assert.equal(broker.records.get(7)?.dueAt, clock.now() + 1_000)
  assert.deepEqual(broker.take('pull'), ['write 7 released=0 failures=1', 'nak r7.1 1000'])
  assert.deepEqual(broker.records.get(7)?.history, [
    {
      attempt: 1,
      at: '2026-01-01T00:00:00.000Z',
      duration_ms: 12,
      outcome: 'failed',
      error_code: 'handler_error',
      error: 'no luck',
      supervisor: 's1',
      thread: 1,
    },
  ])
  assert.deepEqual(observer.take('retrying', 'settled'), [
    'retrying JOBS:7 delay=1000 handler_error',
    'settled JOBS:7 retry',
  ])
})

test('a failure whose lease may have run out is let go of, which is told', async () => {
  const { broker, clock, observer, addLane, deliver, end } = fakeEngine()
  const lane = addLane()
  const job = (await deliver(7))!
  job.renewedAt = clock.monotonicMs() - ackWaitMs
  await end(lane, job, failed)
  assert.deepEqual(broker.take('pull'), [])
  assert.deepEqual(observer.take('leaseLost'), ['leaseLost JOBS:7'])
})

test('the last failure is a dead letter with every attempt in its history', async () => {
  const { broker, clock, addLane, deliver, end } = fakeEngine()
  const lane = addLane()
  for (const deliveries of [1, 2, 3]) {
    await end(lane, (await deliver(7, { deliveries }))!, failed)
    await clock.pass(5_000)
  }
  const [{ letter }] = broker.letters as [(typeof broker.letters)[0]]
  assert.deepEqual(
    [letter.reason, letter.attempts, letter.deliveries, letter.history.map(({ attempt }) => attempt)],
    ['exhausted', 3, 3, [1, 2, 3]],
  )
  assert.ok(broker.take().includes('ack r7.3'))
})

test('a payload that cannot be read is a dead letter of a job that never ran', async () => {
  const { broker, observer, addLane, deliver, end } = fakeEngine()
  const lane = addLane()
  await end(lane, (await deliver(7))!, {
    kind: 'invalid',
    error: { code: 'invalid_json', message: 'not JSON' },
  })
  const [{ letter }] = broker.letters as [(typeof broker.letters)[0]]
  assert.deepEqual([letter.reason, letter.attempts, letter.history], ['invalid', 0, []])
  assert.deepEqual(observer.take('ended'), [])
})

test('a job that expires between admission and its start is a dead letter that says so', async () => {
  const { broker, addLane, deliver, end } = fakeEngine()
  const lane = addLane()
  const expiresAt = '2026-01-01T00:00:01.000Z'
  const job = (await deliver(7, { headers: [['Millrace-Expires-At', expiresAt]] }))!
  await end(lane, job, { kind: 'expired' })
  const [{ letter }] = broker.letters as [(typeof broker.letters)[0]]
  assert.deepEqual([letter.reason, letter.attempts, letter.error?.code], ['expired', 0, 'expired'])
})

test('G4: a snooze comes back after its delay and does not count', async () => {
  const { broker, clock, addLane, deliver, end } = fakeEngine()
  const lane = addLane()
  for (let deliveries = 1; deliveries <= 6; deliveries += 1) {
    const job = (await deliver(7, { deliveries }))!
    assert.equal(job.attempt, 1)
    await end(lane, job, { kind: 'snoozed', delayMs: 70 })
    await clock.pass(100)
  }
  assert.equal(broker.take().filter((call) => call.endsWith(' 70')).length, 6)
  assert.equal(broker.letters.length, 0)
})

test('G1: a dead letter that cannot be stored holds no room, keeps its lease, and other jobs go on', async () => {
  const { broker, clock, engine, addLane, deliver, end } = fakeEngine()
  engine.start()
  const lane = addLane()
  broker.refusals = Number.POSITIVE_INFINITY
  const permanent = { kind: 'failed', error, steer: { kind: 'permanent' } } as const
  const job = (await deliver(7))!
  await end(lane, job, permanent)
  assert.equal(engine.handlers[0]!.held, 0)
  await clock.pass(ackWaitMs * 3)
  assert.equal(job.leaseLost, false)
  assert.ok(broker.take().filter((call) => call === 'extend r7.1').length >= 8)
  await end(lane, (await deliver(8))!, completed)
  assert.ok(broker.take().includes('ack r8.1'))
  broker.refusals = 0
  await clock.pass(5_000)
  assert.ok(broker.take().includes('ack r7.1'))
  assert.equal(lane.batches.length, 2)
})

test('a handler whose threads crash over and over is paused, and told so', async () => {
  const { clock, observer, engine, addLane, deliver, end, endLane } = fakeEngine()
  for (let sequence = 1; sequence <= 20; sequence += 1) {
    const lane = addLane()
    lane.begin((await deliver(sequence))!)
    await endLane(lane, cause)
    await clock.pass(1)
  }
  assert.deepEqual(observer.take('handlerRests'), ['handlerRests a 1000 20'])
  assert.equal(engine.handlers[0]!.onProbation, true)
  const lane = addLane()
  await end(lane, (await deliver(21))!, completed)
  assert.equal(engine.handlers[0]!.onProbation, false)
})

test('the thread that ended an attempt is the one that is told, also when another had it first', async () => {
  const { clock, observer, addLane, deliver, end, engine } = fakeEngine({ handlers: [{ pool: 'io' }] })
  const blocked = addLane({ pool: 'io', concurrency: 10 })
  const [first, second] = [(await deliver(1))!, (await deliver(2))!]
  blocked.begin(first)
  const other = addLane({ pool: 'io', concurrency: 10 })
  await clock.pass(30)
  assert.deepEqual(other.jobs(), [second])
  other.begin(second)
  observer.take()
  engine.fromPools.jobEnded(other, second, failed, clock.monotonicMs(), 1)
  await settled()
  assert.equal(second.threadId, 2)
  await end(blocked, first, completed)
})
