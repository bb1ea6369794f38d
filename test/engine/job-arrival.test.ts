import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withFailure } from '#src/core/attempt.js'
import { ackWaitMs, fakeEngine, Gate, settled } from '../support/fake-engine-parts.ts'

const error = { code: 'handler_error', message: 'no luck' }
const completed = { kind: 'completed' } as const
const failed = { kind: 'failed', error } as const

test('a job that we finished and that is delivered again is acked, not run', async () => {
  const { broker, observer, addLane, deliver, end } = fakeEngine()
  const lane = addLane()
  await end(lane, (await deliver(7))!, completed)
  broker.take()
  observer.take()
  assert.equal(await deliver(7, { deliveries: 2 }), undefined)
  assert.deepEqual(broker.take('pull'), ['ack r7.2'])
  assert.deepEqual(observer.take(), ['duplicateSuppressed a'])
  assert.equal(lane.batches.length, 1)
})

test('a job that we hold and that is delivered again is adopted: one run, one ack, for the new delivery', async () => {
  const { broker, clock, observer, engine, addLane, deliver, end } = fakeEngine()
  const lane = addLane()
  const job = (await deliver(7))!
  lane.begin(job)
  await clock.pass(20_000)
  assert.equal(await deliver(7, { deliveries: 2 }), job)
  assert.deepEqual([job.reply, job.deliveries, job.renewedAt], ['r7.2', 2, 20_000])
  assert.deepEqual(observer.take('duplicateSuppressed'), ['duplicateSuppressed a'])
  assert.equal(lane.batches.length, 1)
  assert.equal(engine.handlers[0]!.held, 1)
  await end(lane, job, completed)
  assert.deepEqual(broker.take('pull', 'barrier', 'extend'), ['ack r7.2'])
})

test('a job whose lease ran out while its record was read does not run, and does not count', async () => {
  const { broker, clock, observer, engine, addLane, deliver } = fakeEngine()
  const lane = addLane()
  broker.readGate = new Gate()
  await deliver(7, { deliveries: 2 })
  await clock.pass(ackWaitMs)
  await broker.readGate.open()
  await clock.pass(100)
  assert.deepEqual(lane.jobs(), [])
  assert.equal(engine.inFlight.size, 0)
  assert.deepEqual(observer.take('leaseLost'), ['leaseLost JOBS:7'])
  assert.deepEqual(broker.take('pull'), ['read 7', 'release 7'])
})

test('an adopted delivery does not count as an attempt of its job', async () => {
  const { broker, clock, addLane, deliver, end } = fakeEngine()
  const lane = addLane()
  const job = (await deliver(7))!
  await deliver(7, { deliveries: 2 })
  await end(lane, job, failed)
  assert.deepEqual(broker.records.get(7)!.released, 1)
  await clock.pass(1_000)
  const again = (await deliver(7, { deliveries: 3 }))!
  assert.equal(again.attempt, 2)
  assert.equal(again.suspect, false)
})

test('G4: what came again of a job that ran does not count when its lease is lost in the end', async () => {
  const { broker, clock, addLane, deliver, end } = fakeEngine()
  const lane = addLane()
  const job = (await deliver(7))!
  lane.begin(job)
  await clock.pass(20_000)
  await deliver(7, { deliveries: 2 })
  job.leaseLost = true
  await deliver(7, { deliveries: 3 })
  job.leaseLost = true
  await end(lane, job, failed)
  await settled()
  assert.ok(broker.take().includes('release 7 × 2'))
  const again = (await deliver(7, { deliveries: 4 }))!
  await settled()
  assert.equal(again.attempt, 2)
})

test('G5: a delivery that the broker counts again after it was killed is not taken off', async () => {
  const { broker, clock, addLane, deliver, end } = fakeEngine()
  const lane = addLane()
  const job = (await deliver(7))!
  lane.begin(job)
  await clock.pass(20_000)
  assert.equal(await deliver(7), job)
  job.leaseLost = true
  await end(lane, job, failed)
  assert.ok(!broker.take().includes('release 7'))
  assert.equal((await deliver(7, { deliveries: 2 }))!.attempt, 2)
})

test('G4 G5: of a job that has a record only what is not in it yet is taken off', async () => {
  for (const again of [false, true]) {
    const { broker, addLane, deliver, end } = fakeEngine()
    const lane = addLane()
    broker.records.set(7, { released: 2, failures: 0, history: [] })
    const job = (await deliver(7, { deliveries: 3 }))!
    await settled()
    assert.equal(job.attempt, 1)
    if (again) await deliver(7, { deliveries: 4 })
    job.leaseLost = true
    await end(lane, job, failed)
    await settled()
    assert.equal(broker.records.get(7)!.released, again ? 3 : 2)
  }
})

test('G4: the mark of a suspect that waits is for what is delivered again meanwhile, too', async () => {
  const { broker, clock, addLane, deliver } = fakeEngine()
  addLane()
  await deliver(1, { deliveries: 2 })
  const job = (await deliver(2, { deliveries: 2 }))!
  await clock.pass(100)
  assert.ok(job.isMarked)
  assert.equal(broker.records.get(2)!.released, 1)
  await deliver(2, { deliveries: 3 })
  await settled()
  assert.equal(broker.records.get(2)!.released, 2)
  // Somebody else had it in between, and failed: what is stored is theirs as well.
  const failure = { attempt: 2, at: '2026-01-01T00:00:00.000Z', duration_ms: 1, outcome: 'failed' as const }
  broker.records.set(2, withFailure(broker.records.get(2)!, failure))
  await deliver(2, { deliveries: 5 })
  await settled()
  assert.equal(broker.records.get(2)!.released, 3)
  assert.equal(broker.records.get(2)!.failures, 1)
})

test('G4: a suspect that comes back to us runs with what was written down of it in between', async () => {
  const { broker, clock, addLane, deliver, end } = fakeEngine()
  const lane = addLane()
  const first = (await deliver(1, { deliveries: 2 }))!
  const job = (await deliver(2, { deliveries: 2 }))!
  await clock.pass(100)
  const failure = { attempt: 2, at: '2026-01-01T00:00:00.000Z', duration_ms: 1, outcome: 'failed' as const }
  broker.records.set(2, withFailure(broker.records.get(2)!, failure))
  await deliver(2, { deliveries: 4 })
  await end(lane, first, completed)
  await clock.pass(100)
  assert.equal(job.lane, lane)
  // Deliveries 1 and 3 counted, of which the second is on record as a failure; 2 waited, and 4 is this one.
  assert.equal(job.attempt, 3)
  assert.deepEqual(job.record.history, [failure])
  assert.deepEqual(broker.records.get(2), job.record)
  assert.equal(job.record.released, 1)
})

test('a job that must not start yet is given back until then and holds no room', async () => {
  const { broker, engine, addLane, deliver } = fakeEngine()
  addLane()
  await deliver(7, { headers: [['Millrace-Run-At', '2026-01-01T00:01:00Z']] })
  assert.ok(broker.take().includes('nak r7.1 60000'))
  assert.equal(engine.handlers[0]!.held, 0)
})

test('a lease that is lost while the record is read ends there', async () => {
  const { broker, engine, addLane, deliver } = fakeEngine()
  const lane = addLane()
  broker.readGate = new Gate()
  const job = (await deliver(7, { deliveries: 2 }))!
  engine.parts.life.interruption.leaseLost(job)
  await broker.readGate.open()
  assert.equal(lane.batches.length, 0)
  assert.equal(engine.inFlight.size, 0)
  assert.equal(engine.handlers[0]!.held, 0)
})

test('a handler is pulled on when its last asked-for job turns out to be one that it holds already', async () => {
  const { broker, engine, addLane, deliver, end } = fakeEngine({
    rooms: new Map([['cpu', { threads: 1, concurrency: 1 }]]),
  })
  engine.start()
  const lane = addLane()
  broker.refusals = 1_000
  const job = (await deliver(7))!
  await end(lane, job, { kind: 'failed', error, steer: { kind: 'permanent' } }, 100)
  assert.equal(engine.handlers[0]!.credit, 1)
  broker.take()
  assert.equal(await deliver(7, { deliveries: 2 }), job)
  assert.equal(broker.asked('a'), 1)
})
