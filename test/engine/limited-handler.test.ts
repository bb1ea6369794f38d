import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fakeEngine, settled } from '../support/fake-engine-parts.ts'
import type { FakeSharedState } from '../support/fake-shared-state.ts'

const never = new Promise<void>(() => {})

test('jobs that wait for a limit hold no room, are counted as parked, and are pulled a few at a time', async () => {
  const { engine, broker, clock, addLane, deliver } = fakeEngine({
    handlers: [{ name: 'a', maxInFlight: 1 }, { name: 'b' }],
  })
  const lane = addLane()
  addLane()
  engine.start()
  await settled()
  for (let sequence = 1; sequence <= 3; sequence += 1) await deliver(sequence)
  await clock.pass(20)
  const [handler] = engine.handlers
  assert.equal(handler!.parked, 2)
  assert.equal(handler!.held, 1)
  assert.deepEqual(
    lane.batches.flat().map(({ sequence }) => sequence),
    [1],
  )
  broker.take()
  await clock.pass(100)
  assert.equal(broker.asked('a'), 0, 'enough of them wait')
  const other = await deliver(9, { handler: 'b' })
  assert.ok(other?.lane, 'another handler goes on')
})

test('a drain gives what waits for a limit back at once, uncharged', async () => {
  const { engine, broker, clock, addLane, deliver, end } = fakeEngine({
    handlers: [{ rateLimit: { jobs: 1, perMs: 600_000 } }],
  })
  const lane = addLane()
  for (let sequence = 1; sequence <= 5; sequence += 1) await deliver(sequence)
  await clock.pass(20)
  const [job] = lane.batches.flat()
  lane.begin(job!)
  broker.take()
  const drained = engine.drain({ drainMs: 1_000, hurry: never, pullsEnded: Promise.resolve() })
  await settled()
  assert.deepEqual(
    broker.take().filter((call) => call.startsWith('nak')),
    [2, 3, 4, 5].map((sequence) => `nak r${sequence}.1 0`),
  )
  assert.equal(broker.records.get(2)?.released, 1)
  await end(lane, job!, { kind: 'completed' })
  await clock.pass(2_000)
  await drained
  assert.equal(engine.handlers[0]!.parked, 0)
})

test('a suspect that waits for a limit holds no other suspect up, and waits for its turn after that', async () => {
  const { clock, observer, addLane, deliver, end } = fakeEngine({
    handlers: [{ name: 'a', rateLimit: { jobs: 1, perMs: 5_000 } }, { name: 'b' }],
  })
  const lanes = [addLane(), addLane()]
  const begun = (): number[] => lanes.flatMap((lane) => lane.batches.flat()).map(({ sequence }) => sequence)
  const finish = async (): Promise<void> => {
    const lane = lanes.find(({ outstanding }) => outstanding > 0)!
    await end(lane, lane.jobs()[0]!, { kind: 'completed' })
  }
  const [first, limited, other] = [1, 2, 3]
  await deliver(first)
  await clock.pass(50)
  await finish()
  await deliver(limited, { deliveries: 2 })
  await clock.pass(300)
  await deliver(other, { handler: 'b', deliveries: 2 })
  await clock.pass(300)
  assert.deepEqual(begun().sort(), [first, other])
  await clock.pass(6_000)
  assert.deepEqual(begun().sort(), [first, other], 'the other suspect still runs')
  await finish()
  await clock.pass(300)
  assert.deepEqual(begun().sort(), [first, limited, other])
  assert.deepEqual(observer.take('deadLettered'), [])
})

test('a handler that dies of a thread and starts again uses up no second start', async () => {
  const { clock, addLane, deliver, endLane } = fakeEngine({
    handlers: [{ pool: 'io', rateLimit: { jobs: 2, perMs: 600_000 } }],
  })
  const lane = addLane({ pool: 'io', concurrency: 10 })
  for (const sequence of [1, 2]) await deliver(sequence)
  await clock.pass(20)
  const jobs = lane.batches.flat()
  assert.equal(jobs.length, 2)
  lane.begin(jobs[0]!)
  jobs[0]!.abortCode = 'deadline'
  const next = addLane({ pool: 'io', concurrency: 10 })
  lane.endReason = 'deadline'
  await endLane(lane)
  assert.deepEqual(
    next.batches.flat().map(({ sequence }) => sequence),
    [2],
  )
})

test('supervisors of one fleet share a limit through the engine, too', async () => {
  const one = fakeEngine({ supervisorId: 's1', handlers: [{ maxInFlight: 1 }] })
  const shared: FakeSharedState = one.shared
  const two = fakeEngine({ supervisorId: 's2', handlers: [{ maxInFlight: 1 }], shared })
  const [first, second] = [one.addLane(), two.addLane()]
  await one.deliver(1)
  await one.clock.pass(20)
  await two.deliver(2)
  await two.clock.pass(100)
  assert.equal(first.batches.length, 1)
  assert.equal(second.batches.length, 0)
  await one.end(first, first.jobs()[0]!, { kind: 'completed' })
  await one.clock.pass(500)
  await two.clock.pass(500)
  assert.equal(second.batches.length, 1)
})
