import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ackWaitMs, fakeEngine, settled } from '../support/fake-engine-parts.ts'

const cause = { code: 'thread_died', message: 'the thread ended' }

test('what a pool without threads holds goes back after an ack wait, uncharged, and nothing more is pulled', async () => {
  const { broker, clock, observer, engine, addLane, deliver, endLane } = fakeEngine()
  engine.start()
  const lane = addLane()
  await endLane(lane)
  await deliver(7)
  broker.take()
  observer.take()
  await clock.pass(ackWaitMs - 1)
  assert.deepEqual(broker.take('extend', 'barrier', 'pull'), [])
  assert.deepEqual(engine.parts.threadless.names, [])
  await clock.pass(1)
  assert.deepEqual(observer.take('poolThreadless'), ['poolThreadless cpu'])
  assert.deepEqual(engine.parts.threadless.names, ['cpu'])
  assert.deepEqual(broker.take('extend', 'barrier', 'pull'), ['write 7 released=1 failures=0', 'nak r7.1 0'])
  assert.equal(engine.inFlight.size, 0)

  await deliver(8)
  assert.deepEqual(broker.take('barrier').slice(0, 2), ['write 8 released=1 failures=0', 'nak r8.1 0'])
  await clock.pass(ackWaitMs)
  assert.equal(broker.asked('a'), 0)

  const next = addLane()
  await settled()
  assert.deepEqual(observer.take('poolReady'), ['poolReady cpu'])
  assert.ok(broker.asked('a') > 0)
  const job = (await deliver(9))!
  assert.deepEqual(next.jobs(), [job])
})

test('a thread that is ready in time, or another one, keeps what is held', async () => {
  const { broker, clock, observer, engine, addLane, deliver, endLane } = fakeEngine({
    handlers: [{ deadlineMs: 1e9 }],
  })
  engine.start()
  const [first, second] = [addLane(), addLane()]
  await endLane(first, cause)
  await clock.pass(2 * ackWaitMs)
  await endLane(second, cause)
  const job = (await deliver(7))!
  await clock.pass(ackWaitMs - 1)
  const third = addLane()
  await settled()
  third.begin(job)
  await clock.pass(2 * ackWaitMs)
  assert.deepEqual(third.jobs(), [job])
  assert.deepEqual(observer.take('poolThreadless', 'poolReady'), [])
  assert.deepEqual(broker.take('extend', 'barrier', 'pull'), [])
})

test('a stuck thread is none, and the other pool goes on', async () => {
  const { clock, observer, engine, addLane, deliver } = fakeEngine({
    handlers: [{ deadlineMs: 1e9 }, { name: 'b', pool: 'io', deadlineMs: 1e9 }],
  })
  engine.start()
  const [cpu, io] = [addLane(), addLane({ pool: 'io', concurrency: 10 })]
  cpu.begin((await deliver(1))!)
  cpu.kill('deadline')
  engine.fromPools.laneStuck(cpu)
  await clock.pass(ackWaitMs)
  assert.deepEqual(observer.take('poolThreadless'), ['poolThreadless cpu'])
  const job = (await deliver(2, { handler: 'b' }))!
  assert.deepEqual(io.jobs(), [job])
})

test('a supervisor that stops or has not started gives nothing up', async () => {
  const { clock, observer, engine, addLane, deliver, endLane } = fakeEngine()
  await endLane(addLane())
  await clock.pass(2 * ackWaitMs)
  assert.deepEqual(engine.parts.threadless.names, [])
  const lane = addLane()
  engine.start()
  await deliver(7)
  const forever = new Promise<void>(() => {})
  const drained = engine.drain({ drainMs: 0, hurry: forever, pullsEnded: Promise.resolve() })
  await clock.pass(10_000)
  await endLane(lane)
  await drained
  await clock.pass(2 * ackWaitMs)
  assert.deepEqual(observer.take('poolThreadless', 'poolReady'), [])
})

test('a pool whose only thread was gone before the start is one without threads', async () => {
  const { clock, engine, addLane, endLane } = fakeEngine()
  await endLane(addLane())
  addLane({ pool: 'io', concurrency: 10 })
  engine.start()
  await clock.pass(ackWaitMs)
  assert.deepEqual(engine.parts.threadless.names, ['cpu'])
})
