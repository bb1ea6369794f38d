import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ackWaitMs, fakeEngine, Gate, settled } from '../support/fake-engine-parts.ts'

const error = { code: 'handler_error', message: 'no luck' }
const cause = { code: 'thread_died', message: 'the thread ended' }
const completed = { kind: 'completed' } as const
const failed = { kind: 'failed', error } as const

test('a job that arrives is run and acked, and each step is told', async () => {
  const { broker, clock, observer, addLane, deliver, end, engine } = fakeEngine()
  const lane = addLane()
  await clock.pass(40)
  const job = (await deliver(7))!
  assert.deepEqual(lane.jobs(), [job])
  lane.begin(job)
  await clock.pass(5)
  await end(lane, job, completed, 5)
  assert.deepEqual(broker.take('pull'), ['ack r7.1'])
  assert.deepEqual(observer.take(), [
    'started JOBS:7 attempt=1 thread=1',
    'ended JOBS:7 completed duration=5 wait=40',
    'settled JOBS:7 ack',
  ])
  assert.equal(engine.inFlight.size, 0)
  assert.deepEqual([engine.handlers[0]!.held, engine.handlers[0]!.posted], [0, 0])
})

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

test('a failure is recorded, given back after its backoff and told', async () => {
  const { broker, observer, addLane, deliver, end } = fakeEngine()
  const lane = addLane()
  await end(lane, (await deliver(7))!, failed, 12.4)
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

test('a job that must not start yet is given back until then and holds no room', async () => {
  const { broker, engine, addLane, deliver } = fakeEngine()
  addLane()
  await deliver(7, { headers: [['Millrace-Run-At', '2026-01-01T00:01:00Z']] })
  assert.ok(broker.take().includes('nak r7.1 60000'))
  assert.equal(engine.handlers[0]!.held, 0)
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
