import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HeaderEntry } from '#src/core/dead-letter.js'
import { FakeDelayedJobs } from '../support/fake-delayed-jobs.ts'
import { delivery, fakeEngine, Gate, settled } from '../support/fake-engine-parts.ts'

const start = Date.UTC(2026, 0, 1)

function createMover() {
  const delayed = new FakeDelayedJobs()
  const parts = fakeEngine({ delayed })
  const arrive = async (sequence: number, dueInMs: number, deliveries = 1) => {
    const dueAt = new Date(start + dueInMs).toISOString()
    const headers: HeaderEntry[] = [
      ['Millrace-Due-At', dueAt],
      ['Millrace-Due-Id', `due:JOBS:${sequence}:1`],
    ]
    delayed.listener.delayedArrived(delivery(sequence, { stream: 'JOBS_DELAYED', headers, deliveries }))
    await settled()
  }
  return { delayed, arrive, ...parts }
}

test('what is due is published under its own id, and acked when the server has it', async () => {
  const { delayed, broker, arrive } = createMover()
  delayed.gate = new Gate()
  await arrive(7, 0)
  assert.deepEqual(delayed.take(), ['publish 7 due:JOBS:7:1'])
  assert.deepEqual(broker.take(), [])
  await delayed.gate.open()
  assert.deepEqual(broker.take(), ['ack r7.1'])
})

test('what is not due is given back until then, in bursts, and dropped if the connection is', async () => {
  const { delayed, broker, clock, arrive } = createMover()
  await arrive(1, 60_000)
  await arrive(2, 60_000)
  assert.deepEqual(broker.take(), ['nak r1.1 60000'])
  await clock.pass(40)
  await arrive(3, 5_000)
  await clock.pass(59)
  assert.deepEqual(broker.take('barrier'), [])
  await clock.pass(1)
  assert.deepEqual(broker.take('barrier'), ['nak r2.1 59900', 'nak r3.1 4900'])
  assert.deepEqual(delayed.take(), [])
})

test('one pull is open at a time, for no more than may be published at once', async () => {
  const { delayed, engine, arrive } = createMover()
  assert.deepEqual(delayed.take(), [])
  engine.start()
  assert.deepEqual(delayed.take(), ['pull 500'])
  delayed.gate = new Gate()
  for (let sequence = 1; sequence <= 251; sequence += 1) await arrive(sequence, 0)
  delayed.take()
  delayed.listener.delayedPullEnded()
  assert.deepEqual(delayed.take(), [])
  await delayed.gate.open()
  assert.deepEqual(delayed.take(), ['pull 250'])
})

test('a job that cannot be published comes back, and holds up no other', async () => {
  const { delayed, broker, observer, engine, arrive } = createMover()
  engine.start()
  delayed.refusals = 9
  for (let sequence = 1; sequence <= 9; sequence += 1) await arrive(sequence, 0)
  assert.equal(observer.take('delayRefused').at(-1), 'delayRefused the stream is full')
  assert.equal(broker.take('pull').at(-1), 'nak r9.1 2000')
  await arrive(10, 0)
  assert.ok(broker.take().includes('ack r10.1'))
  delayed.take()
  delayed.listener.delayedPullEnded()
  assert.deepEqual(delayed.take(), ['pull 500'])
})

test('a message that is no job is given back for long, and holds up nothing', async () => {
  const { delayed, broker, observer, engine } = createMover()
  engine.start()
  delayed.listener.delayedArrived(delivery(7, { stream: 'JOBS_DELAYED', subject: 'other.thing' }))
  await settled()
  assert.deepEqual(broker.take('pull'), ['nak r7.1 3600000'])
  assert.match(observer.take('delayRefused')[0]!, /JOBS_DELAYED:7 is no job; remove it/)
  delayed.listener.delayedPullEnded()
  assert.deepEqual(delayed.take(), ['pull 500', 'pull 500'])
})

test('while no job can be published, nothing is pulled', async () => {
  const { delayed, clock, engine, arrive } = createMover()
  engine.start()
  delayed.refusals = 10
  for (let sequence = 1; sequence <= 10; sequence += 1) await arrive(sequence, 0)
  delayed.take()
  delayed.listener.delayedPullEnded()
  await clock.pass(1_999)
  assert.deepEqual(delayed.take(), [])
  await clock.pass(1)
  assert.deepEqual(delayed.take(), ['pull 500'])
})

test('nothing is pulled while the job stream is missing, and the pull goes on by itself when it is there', async () => {
  const { delayed, broker, clock, engine } = createMover()
  engine.start()
  delayed.take()
  broker.connected = false
  delayed.listener.delayedPullEnded()
  await clock.pass(5_000)
  assert.deepEqual(delayed.take(), [])
  broker.connected = true
  await clock.pass(1_000)
  assert.deepEqual(delayed.take(), ['pull 500'])
})

test('an ack that a lost connection may have swallowed is sent again', async () => {
  const { delayed, broker, engine, arrive } = createMover()
  engine.start()
  await arrive(7, 0)
  broker.connected = false
  engine.fromBroker.disconnected()
  broker.take()
  broker.connected = true
  broker.epoch += 1
  delayed.take()
  engine.fromBroker.reconnected()
  assert.deepEqual(broker.take('pull', 'barrier'), ['ack r7.1'])
  assert.deepEqual(delayed.take(), ['pull 500'])
})

test('nothing is said about a stream that was made anew', async () => {
  const { delayed, broker, engine, arrive } = createMover()
  await arrive(7, 0)
  delayed.listener.delayedReplaced('JOBS_DELAYED')
  broker.take()
  engine.fromBroker.reconnected()
  assert.deepEqual(broker.take('pull', 'barrier'), [])
})

test('a drain pulls nothing more and deals with what still arrives', async () => {
  const { delayed, broker, clock, engine, arrive } = createMover()
  engine.start()
  await arrive(1, 60_000)
  await arrive(2, 60_000)
  const never = new Promise<void>(() => {})
  const drained = engine.drain({ drainMs: 0, hurry: never, pullsEnded: Promise.resolve() })
  assert.ok(broker.take().includes('nak r2.1 60000'))
  delayed.take()
  delayed.listener.delayedPullEnded()
  await arrive(3, 0)
  assert.deepEqual(delayed.take(), ['publish 3 due:JOBS:3:1'])
  await arrive(4, 60_000)
  await arrive(5, 60_000)
  const said = broker.take()
  assert.ok(said.includes('nak r4.1 60000') && said.includes('nak r5.1 60000'), 'at once, not in a burst')
  assert.ok(said.includes('ack r3.1'))
  await clock.pass(10_000)
  await drained
})
