import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cancelledKey, pausedKey } from '#src/core/control-keys.js'
import type { Outcome } from '#src/core/outcome.js'
import { HandlerState } from '#src/engine/handler-state.js'
import { FakeDelayedJobs } from '../support/fake-delayed-jobs.ts'
import { fakeEngine, Gate, ManualClock, profile, settled } from '../support/fake-engine-parts.ts'
import { FakeSharedState } from '../support/fake-shared-state.ts'

const failed: Outcome = { kind: 'failed', error: { code: 'handler_error', message: 'no' } }

async function controlledEngine(options: Parameters<typeof fakeEngine>[0] = {}) {
  const shared = new FakeSharedState(new ManualClock())
  const known: string[] = []
  const world = fakeEngine({
    shared,
    pauseKnown: (handler, paused) => known.push(`${handler} ${paused}`),
    ...options,
  })
  await world.engine.obeyControls()
  world.engine.start()
  await settled()
  const cancel = async (jobId: string): Promise<void> => {
    shared.put(cancelledKey(jobId), JSON.stringify({ id: jobId }))
    await settled()
  }
  const pause = async (handler: string): Promise<void> => {
    shared.put(pausedKey(handler))
    await settled()
  }
  const resume = async (handler: string): Promise<void> => {
    shared.delete(pausedKey(handler))
    await settled()
  }
  return { ...world, shared, known, cancel, pause, resume }
}

type Controlled = Awaited<ReturnType<typeof controlledEngine>>

/** What became of job `sequence`: its dead letter says so, its entry is gone, and nothing of it is held. */
function assertCancelled(world: Controlled, sequence: number, attempts: number): void {
  const letters = world.broker.letters.filter(({ letter }) => letter.sequence === sequence)
  assert.equal(letters.length, 1, 'one dead letter')
  const { letter } = letters[0]!
  assert.equal(letter.reason, 'cancelled')
  assert.equal(letter.error?.code, 'cancelled')
  assert.equal(letter.attempts, attempts)
  assert.equal(world.shared.entries.has(cancelledKey(letter.jobId)), false, 'the entry is removed')
  assert.equal(world.engine.inFlight.find('JOBS', sequence), undefined)
}

test('a paused handler is not pulled, and what has not begun goes back uncharged', async () => {
  const world = await controlledEngine({ handlers: [{ name: 'a' }, { name: 'b' }] })
  const { broker, engine, observer, pause, resume } = world
  const lane = world.addLane()
  const running = await world.deliver(1)
  await world.deliver(2)
  await world.deliver(3)
  lane.begin(running!)
  broker.take()
  await pause('a')
  assert.deepEqual(observer.take('handlerPaused'), ['handlerPaused a'])
  assert.deepEqual(broker.take('pull').sort(), [
    'nak r2.1 0',
    'nak r3.1 0',
    'write 2 released=1 failures=0',
    'write 3 released=1 failures=0',
  ])
  assert.equal(engine.inFlight.size, 1, 'what runs goes on')

  // An open pull still brings something, and other handlers go on.
  await world.deliver(4)
  assert.deepEqual(broker.take('pull'), ['write 4 released=1 failures=0', 'nak r4.1 0'])
  assert.equal(broker.asked('a'), 0)
  assert.ok(await world.deliver(5, { handler: 'b' }))

  await world.end(lane, running!, { kind: 'completed' })
  assert.ok(broker.take('pull').includes('ack r1.1'))
  engine.fromBroker.creditReturned('a', 'normal', 100)
  await settled()
  assert.equal(broker.asked('a'), 0)
  await resume('a')
  assert.ok(broker.asked('a') > 0, 'it is pulled at once')
  assert.deepEqual(observer.take('handlerResumed'), ['handlerResumed a'])
  assert.deepEqual(
    engine.handlers.map(({ profile, paused }) => [profile.name, paused]),
    [
      ['a', false],
      ['b', false],
    ],
  )
})

test('a retry of what ran during a pause waits in the stream', async () => {
  const world = await controlledEngine()
  const lane = world.addLane()
  const job = await world.deliver(1)
  lane.begin(job!)
  await world.pause('a')
  world.broker.take()
  await world.end(lane, job!, failed)
  await world.clock.pass(100)
  assert.deepEqual(world.broker.take('pull', 'barrier'), ['write 1 released=0 failures=1', 'nak r1.1 1000'])
  await world.deliver(1, { deliveries: 2 })
  assert.ok(world.broker.take('pull').includes('nak r1.2 250'))
  assert.equal(world.broker.records.get(1)?.released, 1)
})

test('what is paused is known before the first pull, also to the server', async () => {
  const shared = new FakeSharedState()
  shared.put(pausedKey('a'))
  shared.put(pausedKey('nobody.has.this'))
  const known: string[] = []
  const { broker, engine } = fakeEngine({
    shared,
    handlers: [{ name: 'a' }, { name: 'b' }],
    pauseKnown: (handler, paused) => known.push(`${handler} ${paused}`),
  })
  await engine.obeyControls()
  engine.start()
  await settled()
  assert.equal(broker.asked('a'), 0)
  assert.equal(broker.asked('b'), 1)
  assert.deepEqual(known, ['a true', 'a true', 'b false'])
})

test('a start does not wait for ever for a bucket that does not answer', async () => {
  const shared = new FakeSharedState()
  shared.holdsListing = true
  const { clock, engine } = fakeEngine({ shared })
  let begun = false
  void engine.obeyControls().then(() => {
    begun = true
  })
  await clock.pass(4_999)
  assert.equal(begun, false)
  await clock.pass(1)
  assert.equal(begun, true)
})

test('a suspect that is given back lets the next one run', async () => {
  const world = await controlledEngine({ handlers: [{ name: 'a' }, { name: 'b' }] })
  const lane = world.addLane()
  await world.deliver(1, { deliveries: 2 })
  await world.clock.pass(200)
  assert.equal(lane.jobs().length, 1, 'the suspect is on the thread, not begun')
  await world.pause('a')
  assert.equal(lane.jobs().length, 0)
  const other = await world.deliver(2, { handler: 'b', deliveries: 2 })
  await world.clock.pass(200)
  assert.deepEqual(lane.jobs(), [other])
})

test('a job that was cancelled before it arrived is given up on without being run', async () => {
  const world = await controlledEngine()
  const lane = world.addLane()
  await world.cancel('order-1')
  await world.deliver(1, { headers: [['Nats-Msg-Id', 'order-1']] })
  assert.equal(lane.batches.length, 0)
  assertCancelled(world, 1, 0)
  // A replay of it can run.
  assert.ok(await world.deliver(2, { headers: [['Millrace-Job-Id', 'order-1']] }))
  assert.equal(lane.jobs().length, 1)
})

test('an entry that somebody wrote by hand names the job in its key', async () => {
  const world = await controlledEngine()
  world.addLane()
  for (const [key, value] of [
    ['cancelled.JOBS=3A1', '{}'],
    ['cancelled.JOBS=3A2', ''],
    ['cancelled.by.hand', 'x'],
  ] as const) {
    world.shared.put(key, value)
  }
  await world.deliver(1)
  await world.deliver(2)
  await world.deliver(3, { headers: [['Nats-Msg-Id', 'by.hand']] })
  assert.deepEqual(
    world.broker.letters.map(({ letter }) => letter.jobId),
    ['JOBS:1', 'JOBS:2', 'by.hand'],
  )
  assert.equal(world.shared.entries.size, 0)
})

test('a job that waits for a thread, or was posted ahead, is taken out and given up on', async () => {
  const world = await controlledEngine()
  const waiting = await world.deliver(1)
  assert.ok(waiting)
  await world.cancel('JOBS:1')
  assertCancelled(world, 1, 0)
  const lane = world.addLane()
  const posted = await world.deliver(2)
  assert.equal(posted?.lane, lane)
  await world.cancel('JOBS:2')
  assertCancelled(world, 2, 0)
  assert.equal(lane.jobs().length, 0)
  assert.deepEqual(lane.aborted, [])
  assert.equal(world.engine.handlers[0]!.held, 0)
})

test('a suspect that waits for its turn is given up on, with the attempts that ran', async () => {
  const world = await controlledEngine()
  const lane = world.addLane()
  await world.deliver(1, { deliveries: 2 })
  await world.deliver(2, { deliveries: 3 })
  await world.clock.pass(200)
  const [first] = lane.jobs()
  assert.equal(first?.sequence, 1)
  await world.cancel('JOBS:2')
  assertCancelled(world, 2, 2)
  await world.cancel('JOBS:1')
  assertCancelled(world, 1, 1)
  await world.deliver(3, { deliveries: 2 })
  await world.clock.pass(200)
  assert.equal(lane.jobs().length, 1, 'the next suspect runs')
})

test('a job that waits at a gate is given up on', async () => {
  const world = await controlledEngine()
  const job = await world.deliver(1)
  const { gates } = world.engine.parts
  const parked = new Set([job])
  const gate = {
    enter: () => true,
    ended: () => {},
    settled: () => {},
    remove: () => void parked.clear(),
    takeAll: () => [],
  }
  // As if it had been held up there.
  world.engine.parts.pools.dispatchers.get('cpu')!.remove(job!)
  job!.waitsAt = gate
  job!.handler.parked += 1
  await world.cancel('JOBS:1')
  assertCancelled(world, 1, 0)
  assert.equal(parked.size, 0)
  assert.equal(job!.handler.parked, 0)
  assert.equal(gates.remove(job!), false)
})

test('a job that is cancelled while its record is being read is given up on', async () => {
  const world = await controlledEngine()
  world.broker.readGate = new Gate()
  await world.deliver(1, { deliveries: 2 })
  await world.cancel('JOBS:1')
  assert.equal(world.broker.letters.length, 0)
  await world.broker.readGate.open()
  assertCancelled(world, 1, 1)
})

test('a job that is cancelled while the record of its tick is being read is given up on', async () => {
  const world = await controlledEngine()
  const lane = world.addLane()
  const tick = '2026-01-01T00:00:00.000Z'
  const id = `tick:a:${tick}`
  const gate = new Gate()
  world.ticks.before = () => gate.enter()
  await world.deliver(1, {
    headers: [
      ['Nats-Msg-Id', id],
      ['Millrace-Schedule', 'a'],
      ['Millrace-Tick', tick],
    ],
  })
  await world.cancel(id)
  await gate.open()
  assertCancelled(world, 1, 0)
  assert.equal(lane.jobs().length, 0)
})

test('a job that is cancelled while it is moved keeps its entry, and is given up on when it is due', async () => {
  const delayed = new FakeDelayedJobs()
  delayed.gate = new Gate()
  const world = await controlledEngine({ delayed })
  const lane = world.addLane()
  await world.deliver(1, { headers: [['Millrace-Run-At', '2026-01-01T00:01:00.000Z']] })
  await world.cancel('JOBS:1')
  await delayed.gate.open()
  assert.ok(world.broker.take().includes('ack r1.1'), 'it is moved')
  assert.equal(world.shared.entries.has(cancelledKey('JOBS:1')), true)
  await world.deliver(2, { headers: delayed.stored[0]!.headers })
  assertCancelled(world, 2, 0)
  assert.equal(lane.jobs().length, 0)
})

test('a running attempt is told to stop and killed after its grace; its neighbours start again', async () => {
  const world = await controlledEngine({ handlers: [{ pool: 'io' }] })
  const lane = world.addLane({ pool: 'io', concurrency: 10 })
  const job = await world.deliver(1)
  const neighbour = await world.deliver(2)
  lane.begin(job!)
  lane.begin(neighbour!)
  await world.clock.pass(1_000)
  await world.cancel('JOBS:1')
  assert.deepEqual(lane.aborted, [{ job, code: 'cancelled' }])
  await world.clock.pass(499)
  assert.equal(lane.endReason, undefined)
  await world.clock.pass(1)
  assert.equal(lane.endReason, 'cancelled')
  world.observer.take()
  const next = world.addLane({ pool: 'io', concurrency: 10 })
  await world.endLane(lane, undefined, { signalled: [job!] })
  assertCancelled(world, 1, 1)
  assert.deepEqual(
    world.broker.letters[0]!.letter.history.map(({ outcome, error_code }) => [outcome, error_code]),
    [['cancelled', 'cancelled']],
  )
  assert.deepEqual(world.observer.take('threadKilled', 'ended'), [
    'threadKilled 1 cancelled',
    'ended JOBS:1 cancelled duration=1500 wait=0',
    'ended JOBS:2 interrupted duration=1500 wait=-1',
  ])
  assert.deepEqual(next.jobs(), [neighbour])
  assert.equal(neighbour!.attempt, 1)
})

test('what an attempt does in its grace decides: returning completes it, anything else is cancelled', async () => {
  const world = await controlledEngine()
  const lanes = [world.addLane(), world.addLane()]
  const [completes, fails] = [(await world.deliver(1))!, (await world.deliver(2))!]
  for (const job of [completes, fails]) (job.lane as (typeof lanes)[0]).begin(job)
  await world.cancel('JOBS:1')
  await world.cancel('JOBS:2')
  const laneOf = (job: typeof completes) => lanes.find((lane) => lane === job.lane)!
  await world.end(laneOf(completes), completes, { kind: 'completed' })
  await world.end(laneOf(fails), fails, failed)
  assert.equal(world.broker.letters.length, 1)
  assertCancelled(world, 2, 1)
  assert.equal(world.shared.entries.size, 0, 'the entry of the completed job is removed as well')
  await world.clock.pass(60_000)
  assert.deepEqual(
    lanes.map((lane) => lane.endReason),
    [undefined, undefined],
  )
})

test('a deadline that strikes in the grace of a cancel changes nothing, and the other way round', async () => {
  const world = await controlledEngine({ handlers: [{ deadlineMs: 1_000, graceMs: 500 }] })
  const lanes = [world.addLane(), world.addLane()]
  const early = (await world.deliver(1))!
  const late = (await world.deliver(2))!
  for (const job of [early, late]) (job.lane as (typeof lanes)[0]).begin(job)
  const [earlyLane, lateLane] = [early, late].map((job) => lanes.find((lane) => lane === job.lane)!)
  await world.clock.pass(900)
  await world.cancel('JOBS:1')
  await world.clock.pass(150)
  await world.cancel('JOBS:2')
  assert.deepEqual(
    earlyLane!.aborted.map(({ code }) => code),
    ['cancelled'],
  )
  assert.deepEqual(
    lateLane!.aborted.map(({ code }) => code),
    ['deadline'],
  )
  await world.clock.pass(350)
  assert.equal(earlyLane!.endReason, 'cancelled')
  await world.endLane(earlyLane!, undefined, { signalled: [early] })
  assertCancelled(world, 1, 1)
  await world.clock.pass(100)
  assert.equal(lateLane!.endReason, 'deadline')
  await world.endLane(lateLane!, undefined, { signalled: [late] })
  assert.ok(world.observer.take('retrying').join().includes('deadline_exceeded'))
  // It comes back, and meets its cancel at the door.
  await world.clock.pass(2_000)
  await world.deliver(2, { deliveries: 2 })
  assertCancelled(world, 2, 1)
})

test('a thread that dies with a cancelled job on it charges no neighbour', async () => {
  const world = await controlledEngine({ handlers: [{ pool: 'io' }] })
  const lane = world.addLane({ pool: 'io', concurrency: 10 })
  const job = (await world.deliver(1))!
  const neighbour = (await world.deliver(2))!
  lane.begin(job)
  lane.begin(neighbour)
  await world.cancel('JOBS:1')
  await world.endLane(lane, { code: 'thread_died', message: 'gone' })
  assertCancelled(world, 1, 1)
  assert.equal(neighbour.suspect, true)
  assert.equal(world.broker.records.get(2)?.failures ?? 0, 0)
})

test('the entry goes before the dead letter can be read, unless its decision could not be written', async () => {
  const world = await controlledEngine()
  await world.cancel('JOBS:1')
  world.broker.letterGate = new Gate()
  await world.deliver(1)
  assert.equal(world.broker.letterGate.waiting, 1)
  assert.equal(world.shared.entries.size, 0)
  await world.broker.letterGate.open()
  assertCancelled(world, 1, 0)

  await world.cancel('JOBS:2')
  world.broker.bucketError = new Error('away')
  await world.deliver(2)
  assert.equal(world.shared.entries.size, 1)
  await world.broker.letterGate.open()
  assertCancelled(world, 2, 0)
})

test('an entry that cannot be removed is removed later', async () => {
  const world = await controlledEngine()
  await world.cancel('JOBS:1')
  world.shared.error = new Error('away')
  await world.deliver(1)
  assert.equal(world.broker.letters.length, 1)
  assert.equal(world.shared.entries.size, 1)
  world.shared.error = undefined
  await world.clock.pass(5_000)
  assertCancelled(world, 1, 0)
})

test('a cancel that somebody else has carried out, or took back, is forgotten', async () => {
  const world = await controlledEngine()
  const lane = world.addLane()
  await world.cancel('JOBS:1')
  world.shared.delete(cancelledKey('JOBS:1'))
  await world.deliver(1)
  assert.equal(lane.jobs().length, 1)
})

test('a cancel whose job never shows up is dropped after sixty days', async () => {
  const world = await controlledEngine()
  const dayMs = 24 * 3_600_000
  const now = world.clock.now()
  world.shared.put(cancelledKey('old'), '', now - 60 * dayMs)
  world.shared.put(cancelledKey('young'), '', now - 59 * dayMs)
  await world.clock.pass(3_600_000)
  assert.deepEqual([...world.shared.entries.keys()], ['cancelled.young'])
})

test('a drain ends what was cancelled as cancelled, and stops listening', async () => {
  const world = await controlledEngine()
  const lane = world.addLane()
  const job = (await world.deliver(1))!
  lane.begin(job)
  const drained = world.engine.drain({
    drainMs: 100,
    hurry: new Promise(() => {}),
    pullsEnded: Promise.resolve(),
  })
  await world.cancel('JOBS:1')
  await world.clock.pass(650)
  assert.ok(lane.endReason)
  await world.endLane(lane, undefined, { signalled: [job] })
  await world.clock.pass(3_000)
  await drained
  assertCancelled(world, 1, 1)
  assert.equal(world.shared.watches, 0)
})

test('a handler that is halted for two reasons goes on only when both are over', () => {
  const handler = new HandlerState(profile(), 0)
  handler.paused = true
  handler.standby = true
  handler.paused = false
  assert.equal(handler.halted, true)
})
