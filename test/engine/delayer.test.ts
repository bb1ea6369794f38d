import assert from 'node:assert/strict'
import { test } from 'node:test'
import { movingLimit } from '#src/engine/delayer.js'
import { FakeDelayedJobs } from '../support/fake-delayed-jobs.ts'
import { ackWaitMs, delivery, fakeEngine, Gate, settled } from '../support/fake-engine-parts.ts'

const runAt = '2026-01-01T00:01:00.000Z'
const headers = [['Millrace-Run-At', runAt]] as const
const completed = { kind: 'completed' } as const

function createEngine() {
  const delayed = new FakeDelayedJobs()
  return { delayed, ...fakeEngine({ delayed }) }
}

test('a job whose time has not come is stored in the delayed stream, then acked', async () => {
  const { delayed, broker, observer, engine, deliver } = createEngine()
  delayed.gate = new Gate()
  const data = new Uint8Array([0, 255])
  await deliver(7, { headers, data })
  assert.deepEqual(delayed.take(), [`store 7 ${runAt}`])
  assert.deepEqual(broker.take('pull'), [])
  assert.deepEqual([engine.handlers[0]!.held, engine.inFlight.size], [0, 1])
  await delayed.gate.open()
  assert.deepEqual(broker.take('pull'), ['ack r7.1'])
  assert.deepEqual(observer.take(), ['settled JOBS:7 release', `delayed JOBS:7 until=${runAt}`])
  assert.deepEqual([engine.inFlight.size, engine.handlers[0]!.moving], [0, 0])
  const [{ job, data: stored }] = delayed.stored as [(typeof delayed.stored)[0]]
  assert.deepEqual(
    [job.jobId, job.subject, job.attempts, job.dueAt, stored],
    ['JOBS:7', 'jobs.a', 0, Date.parse(runAt), data],
  )
})

test('a moved job that is delivered again is acked, not moved again', async () => {
  const { delayed, broker, deliver } = createEngine()
  await deliver(7, { headers })
  broker.take()
  await deliver(7, { headers, deliveries: 2 })
  assert.deepEqual(broker.take('pull'), ['ack r7.2'])
  assert.equal(delayed.stored.length, 1)
})

test('a job that comes due within a second is given back for so long', async () => {
  const { delayed, broker, clock, deliver } = createEngine()
  await clock.pass(59_001)
  await deliver(7, { headers })
  assert.ok(broker.take().includes('nak r7.1 999'))
  assert.deepEqual(delayed.take(), [])
})

test('a job that cannot wait in the delayed stream is given back until its time, uncharged', async () => {
  const { delayed, broker, deliver } = createEngine()
  delayed.takes = false
  await deliver(7, { headers })
  assert.deepEqual(broker.take('pull'), ['write 7 released=1 failures=0', 'nak r7.1 60000'])
})

test('a move that is refused is tried again half a minute later', async () => {
  const { delayed, broker, observer, deliver } = createEngine()
  delayed.refusals = 1
  await deliver(7, { headers })
  assert.deepEqual(observer.take('delayRefused'), ['delayRefused the stream is full'])
  assert.ok(broker.take().includes('nak r7.1 30000'))
  await deliver(7, { headers, deliveries: 2 })
  assert.equal(delayed.stored.length, 1)
})

test('deliveries that ended without a trace do not count while its time has not come', async () => {
  const { delayed, broker, deliver } = createEngine()
  await deliver(7, { headers, deliveries: 20 })
  assert.equal(broker.letters.length, 0)
  assert.equal(delayed.stored[0]!.job.attempts, 0)
})

test('jobs that are moved hold up no other job, and too many at once are not pulled', async () => {
  const { delayed, broker, engine, addLane, deliver, end } = createEngine()
  engine.start()
  const lane = addLane()
  delayed.gate = new Gate()
  for (let sequence = 1; sequence <= movingLimit; sequence += 1)
    engine.fromBroker.delivered(delivery(sequence, { headers }))
  assert.equal(delayed.gate.waiting, 512)
  assert.equal(engine.handlers[0]!.moving, movingLimit)
  assert.equal(engine.handlers[0]!.movedInARow, movingLimit)
  await end(lane, (await deliver(9_999))!, completed)
  assert.equal(engine.handlers[0]!.movedInARow, 0)
  assert.ok(broker.take().includes('ack r9999.1'))
  engine.fromBroker.disconnected()
  await settled()
  engine.fromBroker.reconnected()
  await settled()
  assert.equal(broker.asked('a'), 0)
  await delayed.gate.open()
  assert.ok(broker.asked('a') > 0)
  assert.equal(delayed.gate.waiting, 512)
})

test('a lost lease takes a job out that was not being stored, and lets one go that was', async () => {
  const { delayed, broker, clock, engine, deliver } = createEngine()
  engine.start()
  delayed.gate = new Gate()
  for (let sequence = 1; sequence <= 513; sequence += 1) await deliver(sequence, { headers })
  broker.take()
  broker.connected = false
  await clock.pass(ackWaitMs)
  assert.deepEqual(broker.take('pull'), ['release 513'])
  await delayed.gate.refuse()
  assert.deepEqual(broker.take('pull'), ['release 1'])
  await delayed.gate.open()
  assert.deepEqual(broker.take('pull'), ['ack r2.1'])
  assert.deepEqual([engine.inFlight.size, engine.handlers[0]!.moving], [510, 510])
})

test('a job that came due runs, whatever our clock says, and its attempts count on', async () => {
  const { delayed, broker, observer, addLane, deliver, end } = createEngine()
  const lane = addLane()
  const history = '[{"attempt":1,"outcome":"failed"}]'
  const moved = [
    ...headers,
    ['Millrace-Job-Id', 'mine'],
    ['Millrace-Prior-Attempts', '1'],
    ['Millrace-Prior-History', history],
  ] as const
  const job = (await deliver(7, { headers: moved }))!
  assert.deepEqual([job.jobId, job.attempt], ['mine', 2])
  assert.deepEqual(Object.keys(job.headers!), ['millrace-run-at'])
  await end(lane, job, { kind: 'failed', error: { code: 'handler_error', message: 'no' } })
  const again = (await deliver(7, { headers: moved, deliveries: 2 }))!
  assert.equal(again.attempt, 3)
  await end(lane, again, { kind: 'failed', error: { code: 'handler_error', message: 'no' } })
  const [{ letter }] = broker.letters as [(typeof broker.letters)[0]]
  assert.deepEqual(
    [letter.reason, letter.attempts, letter.history.map(({ attempt }) => attempt)],
    ['exhausted', 3, [1, 2, 3]],
  )
  assert.deepEqual(delayed.take(), [])
  assert.deepEqual(observer.take('started'), [
    'started mine attempt=2 thread=1',
    'started mine attempt=3 thread=1',
  ])
})
