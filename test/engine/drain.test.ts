import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DrainReport } from '#src/engine/drain.js'
import { ackWaitMs, fakeEngine, settled } from '../support/fake-engine-parts.ts'

const completed = { kind: 'completed' } as const
const never = new Promise<void>(() => {})

function drainOf(
  parts: ReturnType<typeof fakeEngine>,
  order: { drainMs?: number; hurry?: Promise<void> } = {},
) {
  const state: { report: DrainReport | undefined } = { report: undefined }
  void parts.engine
    .drain({ drainMs: 20_000, hurry: never, pullsEnded: Promise.resolve(), ...order })
    .then((report) => {
      state.report = report
    })
  return state
}

test('an idle engine is at rest at once', async () => {
  const parts = fakeEngine()
  parts.engine.start()
  const state = drainOf(parts)
  await parts.clock.pass(0)
  assert.deepEqual(state.report, { interrupted: 0, stuckThreads: 0 })
})

test('G2: what runs may finish, what waits is given back at once and uncharged', async () => {
  const parts = fakeEngine()
  const { broker, clock, addLane, deliver, end } = parts
  const lane = addLane()
  const [running] = [(await deliver(1))!, await deliver(2), await deliver(3, { deliveries: 2 })]
  lane.begin(running)
  broker.take()
  const state = drainOf(parts)
  await clock.pass(0)
  assert.deepEqual(
    broker.take('pull', 'barrier').filter((call) => call.startsWith('nak')),
    ['nak r2.1 0', 'nak r3.2 0'],
  )
  assert.equal(broker.records.get(2)?.released, 1)
  await clock.pass(15_000)
  assert.equal(state.report, undefined)
  await end(lane, running, completed)
  await clock.pass(0)
  assert.deepEqual(state.report, { interrupted: 0, stuckThreads: 0 })
  assert.ok(broker.take().includes('ack r1.1'))
})

test('nothing is pulled during a drain, and what still arrives is given back', async () => {
  const parts = fakeEngine()
  const { broker, clock, addLane, deliver } = parts
  const lane = addLane()
  lane.begin((await deliver(1))!)
  drainOf(parts)
  await clock.pass(0)
  broker.take()
  await deliver(2)
  await clock.pass(10)
  assert.deepEqual(broker.take('write', 'barrier'), ['nak r2.1 0'])
  // It came to a pull of ours that is still open; the next time somebody else's may be first.
  await deliver(2, { deliveries: 2 })
  await clock.pass(10)
  assert.deepEqual(broker.take('write', 'read', 'barrier'), ['nak r2.2 250'])
})

test('after the drain time what runs is told to stop, after its grace its thread is killed, and it is released', async () => {
  const parts = fakeEngine({ handlers: [{ deadlineMs: 1e9, graceMs: 500 }] })
  const { broker, clock, addLane, deliver, endLane } = parts
  const lane = addLane()
  const job = (await deliver(1))!
  lane.begin(job)
  const state = drainOf(parts, { drainMs: 2_000 })
  await clock.pass(1_999)
  assert.deepEqual(lane.aborted, [])
  await clock.pass(1)
  assert.deepEqual(lane.aborted, [{ job, code: 'shutdown' }])
  await clock.pass(499)
  assert.equal(lane.endReason, undefined)
  await clock.pass(1)
  assert.equal(lane.endReason, 'shutdown')
  broker.take()
  await endLane(lane)
  await clock.pass(10)
  assert.deepEqual(broker.take('pull', 'barrier'), ['write 1 released=1 failures=0', 'nak r1.1 0'])
  assert.deepEqual(state.report, { interrupted: 1, stuckThreads: 0 })
})

test('G8: a second signal skips drain and grace', async () => {
  const parts = fakeEngine({ handlers: [{ deadlineMs: 1e9, graceMs: 60_000 }] })
  const { clock, addLane, deliver, endLane } = parts
  const lane = addLane()
  lane.begin((await deliver(1))!)
  let hurry = (): void => {}
  const state = drainOf(parts, {
    hurry: new Promise((resolve) => {
      hurry = resolve
    }),
  })
  await clock.pass(100)
  hurry()
  await clock.pass(0)
  assert.equal(lane.endReason, 'shutdown')
  await endLane(lane)
  await clock.pass(10)
  assert.deepEqual(state.report, { interrupted: 1, stuckThreads: 0 })
})

test('a second signal during the grace ends it', async () => {
  const parts = fakeEngine({ handlers: [{ deadlineMs: 1e9, graceMs: 60_000 }] })
  const { clock, addLane, deliver } = parts
  const lane = addLane()
  lane.begin((await deliver(1))!)
  let hurry = (): void => {}
  drainOf(parts, {
    drainMs: 0,
    hurry: new Promise((resolve) => {
      hurry = resolve
    }),
  })
  await clock.pass(1_000)
  assert.equal(lane.endReason, undefined)
  hurry()
  await clock.pass(0)
  assert.equal(lane.endReason, 'shutdown')
})

test('G8: a thread that does not end keeps nobody longer than drain, grace and 2 s', async () => {
  const parts = fakeEngine({ handlers: [{ deadlineMs: 1e9, graceMs: 500 }] })
  const { broker, clock, engine, addLane, deliver } = parts
  const lane = addLane()
  lane.begin((await deliver(1))!)
  const state = drainOf(parts, { drainMs: 1_000 })
  await clock.pass(1_500)
  engine.fromPools.laneStuck(lane)
  await clock.pass(1_999)
  assert.deepEqual(state.report, { interrupted: 1, stuckThreads: 1 })
  // Its job comes back by itself when the lease expires.
  assert.ok(!broker.take().some((call) => call.startsWith('nak')))
})

test('G1: a refused dead letter ends the drain with its job given back', async () => {
  const parts = fakeEngine()
  const { broker, clock, addLane, deliver, end } = parts
  broker.refusals = Number.POSITIVE_INFINITY
  const lane = addLane()
  const error = { code: 'permanent_failure', message: 'never' }
  await end(lane, (await deliver(1))!, { kind: 'failed', error, steer: { kind: 'permanent' } })
  const state = drainOf(parts)
  await clock.pass(700)
  assert.ok(state.report)
  assert.ok(broker.take().includes('nak r1.1 0'))
  assert.equal(broker.records.get(1)?.dead?.reason, 'permanent')
})

test('the last settlements are proven before the end', async () => {
  const parts = fakeEngine()
  const { broker, clock, addLane, deliver, end } = parts
  const lane = addLane()
  await end(lane, (await deliver(1))!, completed)
  const state = drainOf(parts)
  await clock.pass(0)
  assert.ok(state.report)
  assert.equal(broker.take('pull').at(-1), 'barrier')
})

test('leases are renewed during a long drain', async () => {
  const parts = fakeEngine({ handlers: [{ deadlineMs: 1e9 }] })
  const { clock, engine, addLane, deliver } = parts
  engine.start()
  const lane = addLane()
  const job = (await deliver(1))!
  lane.begin(job)
  drainOf(parts, { drainMs: ackWaitMs * 4 })
  await clock.pass(ackWaitMs * 3)
  await settled()
  assert.equal(job.leaseLost, false)
})

test('G4: what is taken back from a slow thread during a drain is given back, and not started', async () => {
  const parts = fakeEngine()
  const { broker, clock, engine, addLane, deliver, end } = parts
  const lane = addLane()
  engine.handlers[0]!.averageMs = 1
  const slow = (await deliver(1))!
  const ahead = (await deliver(2))!
  lane.begin(slow)
  assert.equal(ahead.lane, lane)
  const state = drainOf(parts)
  broker.take()
  await clock.pass(60)
  assert.equal(ahead.lane, undefined)
  assert.deepEqual(broker.take('pull', 'barrier'), ['write 2 released=1 failures=0', 'nak r2.1 0'])
  await end(lane, slow, completed)
  await clock.pass(100)
  assert.deepEqual(state.report, { interrupted: 0, stuckThreads: 0 })
  assert.deepEqual(lane.jobs(), [])
})
