import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Delivery } from '#src/engine/broker-port.js'
import { fakeEngine, Gate, handlerState, settled } from '../support/fake-engine-parts.ts'

const completed = { kind: 'completed' } as const
const error = { code: 'handler_error', message: 'no luck' }

test('a start pulls for every handler, and credit that comes back is asked for again', async () => {
  const { broker, engine } = fakeEngine({ handlers: [{ name: 'a' }, { name: 'b', pool: 'io' }] })
  engine.start()
  await settled()
  assert.deepEqual(broker.take(), ['pull a 1', 'pull b 1'])
  engine.fromBroker.creditReturned('b', 'normal', 1)
  engine.fromBroker.creditReturned('nobody', 'normal', 1)
  await settled()
  assert.deepEqual(broker.take(), ['pull b 1'])
})

test('nothing is pulled before the start, whatever happens meanwhile', async () => {
  const { broker, engine, addLane, endLane } = fakeEngine()
  const lane = addLane()
  engine.fromBroker.disconnected()
  engine.fromBroker.reconnected()
  await endLane(lane)
  assert.equal(broker.asked('a'), 0)
  engine.start()
  await settled()
  assert.equal(broker.asked('a'), 1)
})

test('that a job was here is known while it is, and after it', async () => {
  const { engine, addLane, deliver, end } = fakeEngine()
  engine.start()
  const lane = addLane()
  assert.equal(engine.hasHadJobs, false)
  const job = (await deliver(1))!
  assert.equal(engine.hasHadJobs, true)
  await end(lane, job, completed)
  assert.equal(engine.inFlight.size, 0)
  assert.equal(engine.hasHadJobs, true)
})

test('a new connection sends what may be lost again, renews every lease and pulls anew', async () => {
  const { broker, clock, engine, addLane, deliver, end } = fakeEngine()
  engine.start()
  const lane = addLane()
  const [done, held] = [(await deliver(1))!, (await deliver(2))!]
  await clock.pass(6_000)
  await end(lane, done, completed)
  broker.connected = false
  engine.fromBroker.disconnected()
  assert.equal(engine.handlers[0]!.credit, 0)
  broker.take()
  broker.connected = true
  broker.epoch += 1
  engine.fromBroker.reconnected()
  await settled()
  assert.deepEqual(broker.take().slice(0, 3), ['ack r1.1', 'extend r2.1', 'barrier'])
  assert.equal(held.renewedAt, 6_000)
  assert.ok(engine.handlers[0]!.credit > 0)
})

/** When the streams of these tests were made; jobs are stored a minute later. */
const [firstMadeAt, secondMadeAt] = [Date.UTC(2026, 0, 1), Date.UTC(2026, 0, 2)]

/** A job of the first stream runs and another one is finished; then the stream is made anew. */
async function replaceStream(told: boolean) {
  const parts = fakeEngine()
  const { broker, engine, addLane, deliver, end } = parts
  const lane = addLane()
  const stored = { storedAt: firstMadeAt + 60_000 }
  await end(lane, (await deliver(1, stored))!, completed)
  const running = (await deliver(2, stored))!
  lane.begin(running)
  if (told) engine.fromBroker.streamReplaced('JOBS', secondMadeAt)
  broker.take()
  const idle = addLane()
  return { ...parts, lane, idle, running, stored: { storedAt: secondMadeAt + 60_000 } }
}

test('nothing of a stream that was made anew is taken for the same sequence of the new one', async () => {
  // Deliveries of the new stream may come before anybody has noticed.
  for (const told of [true, false]) {
    const { broker, engine, lane, idle, running, stored, deliver, end } = await replaceStream(told)

    // Sequence 1 was finished in the old stream; in the new one it is another job.
    const first = (await deliver(1, stored))!
    assert.deepEqual(idle.jobs(), [first])
    await end(idle, first, completed)

    // Sequence 2 still runs in the name of the old stream, and its end settles nothing of the new one.
    const second = (await deliver(2, stored))!
    assert.notEqual(second, running)
    assert.deepEqual(idle.jobs(), [second])
    assert.deepEqual(lane.aborted, [{ job: running, code: 'lease_lost' }])
    await end(lane, running, completed)
    assert.deepEqual(broker.take('pull'), ['ack r1.1'])
    assert.equal(engine.inFlight.find('JOBS', 2), second)
    await end(idle, second, completed)
    assert.deepEqual(broker.take('pull'), ['ack r2.1'])
    assert.equal(engine.handlers[0]!.held, 0)
  }
})

test('a job of a stream that was made anew leaves no record and no nak behind', async () => {
  const { broker, engine, lane, running, deliver, end } = await replaceStream(false)
  lane.open = false
  const [waiting] = [(await deliver(3, { storedAt: running.storedAt }))!]
  engine.fromBroker.streamReplaced('JOBS', secondMadeAt)
  assert.equal(waiting.orphaned, true)
  await end(lane, running, { kind: 'failed', error })
  assert.deepEqual(broker.take('pull'), [])
  assert.equal(engine.inFlight.size, 0)
  assert.equal(engine.handlers[0]!.held, 0)
})

test('what is held of the new stream already stays when its making is told', async () => {
  const { engine, idle, stored, deliver } = await replaceStream(false)
  const job = (await deliver(9, stored))!
  engine.fromBroker.streamReplaced('JOBS', secondMadeAt)
  assert.deepEqual([job.orphaned, job.leaseLost], [false, false])
  assert.deepEqual(idle.jobs(), [job])
})

test('jobs on a stuck thread that had not begun go elsewhere, and too many stuck threads want a restart', async () => {
  const parts = fakeEngine()
  const { engine, addLane, deliver, end } = parts
  const first = addLane()
  engine.handlers[0]!.averageMs = 1
  const [stuckJob, ahead] = [(await deliver(1))!, (await deliver(2))!]
  first.begin(stuckJob)
  const next = addLane()
  first.kill('deadline')
  engine.fromPools.laneStuck(first)
  await settled()
  assert.deepEqual(next.jobs(), [ahead])
  assert.deepEqual(
    [engine.fromPools.stuckThreads, parts.restarts, engine.fromPools.isStuck(first)],
    [1, 0, true],
  )
  await end(next, ahead, completed)
  engine.fromPools.laneStuck(next)
  assert.equal(parts.restarts, 1)
})

test('a withdrawn handler is not pulled any more, the others are', async () => {
  const { broker, engine } = fakeEngine({ handlers: [{ name: 'a' }, { name: 'b' }] })
  engine.withdraw(['a'])
  engine.start()
  await settled()
  assert.deepEqual(broker.take(), ['pull b 1'])
})

test('what is in flight is counted for each handler', async () => {
  const { engine, deliver } = fakeEngine({ handlers: [{ name: 'a' }, { name: 'b' }] })
  await deliver(1)
  await deliver(2)
  assert.deepEqual(
    [...engine.inFlight.countByHandler(engine.handlers)],
    [
      ['a', 2],
      ['b', 0],
    ],
  )
})

test('jobs at the same place of two streams are two jobs, and one stream made anew leaves the other alone', async () => {
  const { broker, engine, addLane, deliver, end } = fakeEngine()
  const lanes = [addLane(), addLane()] as const
  const stored = { storedAt: firstMadeAt + 60_000 }
  const normal = (await deliver(1, stored))!
  const high = (await deliver(1, { ...stored, priority: 'high', reply: 'high1' }))!
  assert.notEqual(normal, high)
  assert.deepEqual([normal.jobId, high.jobId], ['JOBS:1', 'JOBS_HIGH:1'])
  assert.deepEqual([...lanes[0].jobs(), ...lanes[1].jobs()], [normal, high])
  engine.fromBroker.streamReplaced('JOBS', secondMadeAt)
  assert.deepEqual([normal.orphaned, high.orphaned], [true, false])
  broker.take()
  await end(lanes[1], high, completed)
  await end(lanes[0], normal, completed)
  assert.deepEqual(broker.take('pull'), ['ack high1'])
})

/** A job has failed and was given back, with its record stored. */
async function failedOnce(about: Partial<Delivery> = {}) {
  const { retry } = handlerState().profile
  const parts = fakeEngine({ handlers: [{ retry: { ...retry, maxAttempts: 10 } }] })
  const { broker, clock, addLane, deliver, end } = parts
  const lane = addLane()
  await end(lane, (await deliver(1, about))!, { kind: 'failed', error })
  await clock.pass(25)
  assert.equal(broker.records.get(1)?.failures, 1)
  broker.take()
  const again = async (deliveries = 2) => (await deliver(1, { ...about, deliveries }))!
  const wasRead = () => broker.take().includes('read 1')
  return { ...parts, lane, again, wasRead }
}

test('the next attempt of a job that was nobody else’s begins without reading its record', async () => {
  const { broker, lane, clock, end, again, wasRead } = await failedOnce()
  const second = await again()
  assert.deepEqual([second.attempt, second.hasRecord, wasRead()], [2, true, false])
  assert.deepEqual(lane.jobs(), [second])
  await end(lane, second, { kind: 'failed', error })
  await clock.pass(25)
  const { failures, history } = broker.records.get(1)!
  assert.deepEqual([failures, history.map(({ attempt }) => attempt)], [2, [1, 2]])
  broker.take()
  const third = await again(3)
  assert.deepEqual([third.attempt, wasRead()], [3, false])
  await end(lane, third, completed)
  assert.deepEqual(broker.take('pull'), ['ack r1.3'])
})

test('G4: the record is read when deliveries may have been counted again', async () => {
  for (const why of ['disconnected', 'countsDoubtful'] as const) {
    const before = await failedOnce()
    before.engine.fromBroker[why]()
    // Delivery 1 of the new count was another supervisor's, which wrote this down.
    before.broker.records.set(1, { released: 0, failures: 2, history: [] })
    assert.deepEqual([(await before.again()).attempt, before.wasRead()], [3, true], why)

    const meanwhile = await failedOnce()
    const second = await meanwhile.again()
    meanwhile.engine.fromBroker[why]()
    await meanwhile.end(meanwhile.lane, second, { kind: 'failed', error })
    await meanwhile.clock.pass(25)
    meanwhile.broker.take()
    assert.deepEqual([(await meanwhile.again(3)).attempt, meanwhile.wasRead()], [3, true], why)
  }
})

test('G4: a job that had a record when it was first delivered here was others’ before', async () => {
  const { broker, lane, clock, deliver, end } = await failedOnce()
  broker.known.add(2)
  await end(lane, (await deliver(2))!, { kind: 'failed', error })
  await clock.pass(25)
  broker.take()
  await deliver(2, { deliveries: 2 })
  assert.ok(broker.take().includes('read 2'))
})

test('G4: the record is read again after a new connection, or when somebody else has had the job', async () => {
  const afterwards = await failedOnce()
  afterwards.engine.fromBroker.disconnected()
  afterwards.engine.fromBroker.reconnected()
  assert.deepEqual([(await afterwards.again()).attempt, afterwards.wasRead()], [2, true])

  const elsewhere = await failedOnce()
  elsewhere.broker.records.set(1, { released: 0, failures: 2, history: [] })
  const third = await elsewhere.again(3)
  assert.deepEqual([third.attempt, elsewhere.wasRead()], [3, true])
  // It was another supervisor's, which may write its record late.
  await elsewhere.end(elsewhere.lane, third, { kind: 'failed', error })
  await elsewhere.clock.pass(25)
  elsewhere.broker.take()
  assert.deepEqual([(await elsewhere.again(4)).attempt, elsewhere.wasRead()], [4, true])
})

test('G4: a record that could not be stored is read', async () => {
  const { broker, lane, clock, end, again, wasRead } = await failedOnce()
  const second = await again()
  broker.bucketError = new Error('no bucket')
  await end(lane, second, { kind: 'failed', error })
  broker.bucketError = undefined
  await clock.pass(25)
  broker.take()
  assert.deepEqual([(await again(3)).attempt, wasRead()], [3, true])
})

test('G4: the record of a job that came again while it was held is read', async () => {
  const held = await failedOnce()
  const second = await held.again()
  await held.again(3)
  await held.end(held.lane, second, { kind: 'failed', error })
  await held.clock.pass(25)
  held.broker.take()
  const fourth = await held.again(4)
  assert.deepEqual([fourth.attempt, held.wasRead()], [3, true])
})

test('G1: before a job is given up on its record is read', async () => {
  const expiresAt = new Date(Date.UTC(2026, 0, 1) + 1_000).toISOString()
  const { broker, clock, again } = await failedOnce({ headers: [['Millrace-Expires-At', expiresAt]] })
  await clock.pass(1_000)
  await again()
  assert.ok(broker.take().includes('read 1'))
  assert.equal(broker.records.get(1)?.dead?.reason, 'expired')
})

test('a record that was known and then could not be read is not counted twice', async () => {
  const expiresAt = new Date(Date.UTC(2026, 0, 1) + 1_000).toISOString()
  const { broker, clock, again } = await failedOnce({ headers: [['Millrace-Expires-At', expiresAt]] })
  await clock.pass(1_000)
  broker.readGate = new Gate()
  await again()
  broker.bucketError = new Error('no bucket')
  await broker.readGate.open()
  broker.bucketError = undefined
  await broker.readGate.open()
  assert.equal(broker.records.get(1)?.dead?.reason, 'expired')
  assert.equal(broker.records.get(1)?.failures, 1)
})
