import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ackWaitMs, fakeEngine, settled } from '../support/fake-engine-parts.ts'

const error = { code: 'handler_error', message: 'no luck' }
const cause = { code: 'thread_died', message: 'the thread ended' }
const completed = { kind: 'completed' } as const
const failed = { kind: 'failed', error } as const

test('a lost lease takes a waiting job out, and it does not count', async () => {
  const { broker, clock, observer, engine, deliver } = fakeEngine()
  engine.start()
  await deliver(7)
  broker.connected = false
  await clock.pass(ackWaitMs)
  assert.deepEqual(observer.take('leaseLost'), ['leaseLost JOBS:7'])
  assert.equal(engine.inFlight.size, 0)
  assert.equal(engine.handlers[0]!.held, 0)
  assert.deepEqual(broker.take('pull'), ['release 7'])
})

test('a lost lease takes back what was posted and not begun', async () => {
  const { broker, clock, engine, addLane, deliver } = fakeEngine()
  engine.start()
  const lane = addLane()
  await deliver(7)
  broker.connected = false
  await clock.pass(ackWaitMs)
  assert.deepEqual(lane.jobs(), [])
  assert.equal(engine.inFlight.size, 0)
})

test('a job that its thread was too late to begin is let go of uncounted, or begins when it is ours again', async () => {
  const { broker, clock, observer, engine, addLane, deliver } = fakeEngine()
  const lane = addLane()
  const job = (await deliver(7))!
  broker.take()
  const tooLate = async () => {
    lane.remove(job)
    engine.fromPools.jobsLate([job])
    await settled()
  }
  await tooLate()
  assert.deepEqual(lane.jobs(), [job])
  await clock.pass(ackWaitMs)
  await tooLate()
  assert.deepEqual(lane.jobs(), [])
  assert.deepEqual(observer.take('leaseLost'), ['leaseLost JOBS:7'])
  assert.equal(engine.inFlight.size, 0)
  assert.equal(engine.handlers[0]!.held, 0)
  assert.deepEqual(broker.take('pull'), ['release 7'])
})

test('an attempt whose lease is lost is told to stop and never naked; its completion is still acked', async () => {
  const { broker, clock, engine, addLane, deliver, end } = fakeEngine({ handlers: [{ deadlineMs: 1e9 }] })
  engine.start()
  const [one, two] = [addLane(), addLane()]
  const [stops, completes] = [(await deliver(7))!, (await deliver(8))!]
  one.begin(stops)
  two.begin(completes)
  broker.connected = false
  await clock.pass(ackWaitMs)
  assert.deepEqual(one.aborted, [{ job: stops, code: 'lease_lost' }])
  await end(one, stops, failed)
  await end(two, completes, completed)
  assert.deepEqual(broker.take('pull', 'write'), ['ack r8.1'])
  assert.equal(engine.inFlight.size, 0)
})

test('an attempt that fails after its lease ran out unnoticed is not naked', async () => {
  const { broker, clock, addLane, deliver, end } = fakeEngine({ handlers: [{ deadlineMs: 1e9 }] })
  const lane = addLane()
  const job = (await deliver(7))!
  lane.begin(job)
  await clock.pass(ackWaitMs)
  await end(lane, job, failed)
  assert.deepEqual(broker.take('pull'), [])
})

test('G3: a thread that was killed at the deadline charges whoever passed it, and its neighbours start again', async () => {
  const { broker, clock, observer, engine, addLane, deliver, endLane } = fakeEngine({
    handlers: [{ pool: 'io', deadlineMs: 1_000, graceMs: 50 }],
  })
  const lane = addLane({ pool: 'io', concurrency: 10 })
  const culprit = (await deliver(1))!
  lane.begin(culprit)
  await clock.pass(500)
  const neighbour = (await deliver(2))!
  lane.begin(neighbour)
  const unstarted = (await deliver(3))!
  await clock.pass(550)
  assert.equal(lane.endReason, 'deadline')
  assert.deepEqual(broker.take('pull'), [], 'nothing is settled before the thread is gone')
  const next = addLane({ pool: 'io', concurrency: 10 })
  observer.take()
  await endLane(lane)
  assert.deepEqual(broker.take('pull'), ['write 1 released=0 failures=1', 'nak r1.1 1000'])
  assert.deepEqual(new Set(next.jobs()), new Set([neighbour, unstarted]))
  assert.deepEqual([neighbour.attempt, unstarted.attempt], [1, 1])
  assert.deepEqual(
    observer.take('ended', 'threadKilled').map((line) => line.split(' ').slice(0, 3).join(' ')),
    ['threadKilled 1 deadline', 'ended JOBS:1 timed_out', 'ended JOBS:2 interrupted'],
  )
  assert.equal(engine.inFlight.size, 2)
})

test('of attempts that a blocked thread kept from hearing their signal, only the blocker is charged', async () => {
  const { broker, clock, addLane, deliver, endLane } = fakeEngine({
    handlers: [{ pool: 'io', deadlineMs: 1_000, graceMs: 50 }],
  })
  const lane = addLane({ pool: 'io', concurrency: 10 })
  const [blocker, starved] = [(await deliver(1))!, (await deliver(2))!]
  for (const job of [blocker, starved]) lane.begin(job)
  await clock.pass(1_050)
  const next = addLane({ pool: 'io', concurrency: 10 })
  await endLane(lane, undefined, { inside: blocker })
  assert.deepEqual(broker.take('pull'), ['write 1 released=0 failures=1', 'nak r1.1 1000'])
  assert.deepEqual(next.jobs(), [starved])
  assert.deepEqual([starved.attempt, starved.abortCode, starved.suspect], [1, undefined, false])
})

test('when nobody knows who blocked the thread, each overdue attempt runs again beside no other suspect', async () => {
  const { broker, clock, addLane, deliver, end, endLane } = fakeEngine({
    handlers: [{ pool: 'io', deadlineMs: 1_000, graceMs: 50 }],
  })
  const lane = addLane({ pool: 'io', concurrency: 10 })
  const [one, two] = [(await deliver(1))!, (await deliver(2))!]
  for (const job of [one, two]) lane.begin(job)
  await clock.pass(1_050)
  const next = addLane({ pool: 'io', concurrency: 10 })
  await endLane(lane)
  await clock.pass(100)
  assert.deepEqual(next.jobs(), [one])
  assert.ok(![...broker.records.values()].some((record) => record.failures > 0))
  await end(next, one, completed)
  await clock.pass(100)
  assert.deepEqual(next.jobs(), [two])
})

test('a thread that dies under one job charges that job', async () => {
  const { broker, observer, addLane, deliver, endLane } = fakeEngine()
  const lane = addLane()
  lane.begin((await deliver(1))!)
  await endLane(lane, cause)
  assert.deepEqual(broker.take('pull'), ['write 1 released=0 failures=1', 'nak r1.1 1000'])
  assert.match(observer.take('ended')[0]!, /^ended JOBS:1 crashed/)
})

test('when several could have killed a thread, each runs again alone and uncharged', async () => {
  const { broker, clock, addLane, deliver, end, endLane } = fakeEngine({ handlers: [{ pool: 'io' }] })
  const lane = addLane({ pool: 'io', concurrency: 10 })
  const [one, two, three] = [(await deliver(1))!, (await deliver(2))!, (await deliver(3))!]
  lane.begin(one)
  lane.begin(two)
  const next = addLane({ pool: 'io', concurrency: 10 })
  await endLane(lane, cause)
  await clock.pass(100)
  assert.equal(broker.letters.length, 0)
  assert.ok(![...broker.records.values()].some((record) => record.failures > 0))
  // The one that had not begun is no suspect and runs beside the first.
  assert.deepEqual(new Set(next.jobs()), new Set([one, three]))
  next.begin(one)
  await end(next, one, completed)
  assert.deepEqual(new Set(next.jobs()), new Set([two, three]))
  assert.deepEqual([two.attempt, two.abortCode], [1, undefined])
})

test('a suspect beside others is to blame when their thread dies', async () => {
  const { broker, clock, addLane, deliver, endLane } = fakeEngine({ handlers: [{ pool: 'io' }] })
  const lane = addLane({ pool: 'io', concurrency: 10 })
  const suspect = (await deliver(1, { deliveries: 2 }))!
  await clock.pass(100)
  const neighbour = (await deliver(2))!
  assert.equal(suspect.suspect, true)
  lane.begin(suspect)
  lane.begin(neighbour)
  const next = addLane({ pool: 'io', concurrency: 10 })
  await endLane(lane, cause)
  assert.equal(broker.records.get(1)?.failures, 1)
  assert.equal(broker.records.get(2), undefined)
  assert.deepEqual(next.jobs(), [neighbour])
})

test('G4: while stopping, too, a job that ends its thread by itself is charged', async () => {
  const { broker, engine, addLane, deliver, endLane } = fakeEngine()
  const lane = addLane()
  lane.begin((await deliver(1))!)
  engine.parts.life.beginning.draining = true
  await endLane(lane, cause)
  assert.deepEqual(broker.take('pull'), ['write 1 released=0 failures=1', 'nak r1.1 1000'])
})

test('while stopping, jobs of which one ended their thread are given back uncharged', async () => {
  const { broker, engine, addLane, deliver, endLane } = fakeEngine({ handlers: [{ pool: 'io' }] })
  const lane = addLane({ pool: 'io', concurrency: 10 })
  for (const sequence of [1, 2]) lane.begin((await deliver(sequence))!)
  engine.parts.life.beginning.draining = true
  await endLane(lane, cause)
  assert.deepEqual(broker.take('pull').sort(), [
    'nak r1.1 0',
    'nak r2.1 0',
    'write 1 released=1 failures=0',
    'write 2 released=1 failures=0',
  ])
})

test('G4: a suspect is not to blame beside a job whose record could not be read', async () => {
  const { broker, clock, addLane, deliver, endLane } = fakeEngine({ handlers: [{ pool: 'io' }] })
  const lane = addLane({ pool: 'io', concurrency: 10 })
  broker.bucketError = new Error('no bucket')
  const unread = (await deliver(1, { deliveries: 2 }))!
  broker.bucketError = undefined
  const suspect = (await deliver(2, { deliveries: 2 }))!
  await clock.pass(100)
  assert.deepEqual([unread.suspect, suspect.suspect], [false, true])
  for (const job of [unread, suspect]) lane.begin(job)
  await endLane(lane, cause)
  assert.ok(![...broker.records.values()].some((record) => record.failures > 0))
})

test('a thread that we ended for another reason charges nobody', async () => {
  const { broker, addLane, deliver, endLane } = fakeEngine()
  const lane = addLane()
  const job = (await deliver(1))!
  lane.begin(job)
  lane.kill('leak')
  const next = addLane()
  await endLane(lane)
  assert.deepEqual(next.jobs(), [job])
  assert.deepEqual(broker.take('pull'), [])
})

test('a suspect whose lease is lost before it began makes room for the next suspect', async () => {
  for (const posted of [true, false]) {
    const { clock, engine, addLane, deliver } = fakeEngine()
    if (posted) addLane()
    const [one, two] = [(await deliver(1, { deliveries: 2 }))!, (await deliver(2, { deliveries: 2 }))!]
    await clock.pass(100)
    engine.parts.life.interruption.leaseLost(one)
    const lane = addLane()
    await settled()
    const lanes = posted ? [...engine.parts.pools.lanes()] : [lane]
    assert.deepEqual(
      lanes.flatMap((each) => each.jobs()),
      [two],
      `posted: ${posted}`,
    )
  }
})

test('a suspect that was interrupted by its killed neighbour stays the one that runs', async () => {
  const { clock, addLane, deliver, end, endLane } = fakeEngine({ handlers: [{ pool: 'io' }] })
  const lane = addLane({ pool: 'io', concurrency: 10 })
  const [one, two] = [(await deliver(1, { deliveries: 2 }))!, (await deliver(2, { deliveries: 2 }))!]
  await clock.pass(100)
  lane.begin(one)
  lane.kill('leak')
  const next = addLane({ pool: 'io', concurrency: 10 })
  await endLane(lane)
  assert.deepEqual(next.jobs(), [one])
  await end(next, one, completed)
  assert.deepEqual(next.jobs(), [two])
})

test('a suspect on a thread that does not end keeps no other suspect waiting', async () => {
  const { clock, engine, addLane, deliver } = fakeEngine()
  const [stuck, other] = [addLane(), addLane()]
  const first = (await deliver(1, { deliveries: 2 }))!
  const second = (await deliver(2, { deliveries: 2 }))!
  await clock.pass(200)
  assert.equal(first.lane, stuck)
  stuck.begin(first)
  stuck.kill('deadline')
  engine.fromPools.laneStuck(stuck)
  await clock.pass(200)
  assert.equal(second.lane, other)
})

test('a thread that runs nothing and begins nothing for 10 s is replaced, and what it has goes elsewhere', async () => {
  const { clock, observer, addLane, deliver } = fakeEngine({ handlers: [{ deadlineMs: 60_000 }] })
  const silent = addLane()
  const job = (await deliver(1))!
  await clock.pass(10_000)
  assert.equal(silent.endReason, undefined)
  await clock.pass(1_500)
  assert.equal(silent.endReason, 'leak')
  assert.equal(job.lane, undefined)
  assert.equal(observer.take('threadKilled').length, 1)
  const other = addLane()
  await clock.pass(1)
  assert.equal(job.lane, other)
  other.begin(job)
  await clock.pass(15_000)
  assert.equal(other.endReason, undefined, 'a thread that runs something is none of that')
})

test('a thread is not silent because its last report is long ago, nor because nobody could hear it', async () => {
  const { clock, addLane, deliver, end } = fakeEngine({ handlers: [{ deadlineMs: 60_000 }] })
  const lane = addLane()
  const long = (await deliver(1))!
  lane.begin(long)
  await clock.pass(30_000)
  // It is done, and says so in a moment.
  await end(lane, long, completed)
  const next = (await deliver(2))!
  await clock.pass(2_000)
  assert.equal(lane.endReason, undefined)
  // Nine seconds of silence, and then this process stands still.
  await clock.pass(8_000)
  clock.holdUp(20_000)
  await clock.pass(1_000)
  assert.equal(lane.endReason, undefined)
  lane.begin(next)
  await clock.pass(20_000)
  assert.equal(lane.endReason, undefined)
})

test('who waits for a place of a job that is stuck gets it when its thread has ended', async () => {
  const { clock, broker, engine, addLane, deliver, endLane } = fakeEngine({ handlers: [{ concurrency: 1 }] })
  const [stuck, other] = [addLane(), addLane()]
  engine.start()
  const first = (await deliver(1))!
  stuck.begin(first)
  await deliver(2)
  stuck.kill('deadline')
  broker.take()
  engine.fromPools.laneStuck(stuck)
  await settled()
  assert.deepEqual(
    broker.take('pull', 'barrier', 'extend').slice(-1),
    ['nak r2.1 0'],
    'somebody else may have a place',
  )
  await clock.pass(5_000)
  assert.equal(broker.asked('a'), 0, 'there is no place for another')
  await endLane(stuck)
  await clock.pass(1)
  assert.deepEqual(other.jobs(), [first])
})
