import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Receipts } from '#src/engine/receipts.js'
import { FakeBroker, FakeObserver, Gate, ManualClock, settled } from '../support/fake-engine-parts.ts'

function createReceipts() {
  const clock = new ManualClock()
  const broker = new FakeBroker()
  const observer = new FakeObserver()
  const receipts = new Receipts(broker, clock, observer)
  /** What a lost and found connection does. */
  const reconnect = () => {
    broker.epoch += 1
    broker.connected = true
    receipts.repeat()
  }
  return { clock, broker, observer, receipts, reconnect }
}

test('many settlements are proven by one round trip', async () => {
  const { clock, broker, receipts } = createReceipts()
  for (let index = 0; index < 100; index += 1) receipts.ack(`r${index}`, 'a', 'JOBS')
  receipts.nak('n', 500, 30_000, 'JOBS')
  assert.equal(receipts.outstanding, 101)
  await clock.pass(49)
  assert.deepEqual(broker.take('ack', 'nak'), [])
  await clock.pass(1)
  assert.deepEqual(broker.take('ack', 'nak'), ['barrier'])
  assert.equal(receipts.outstanding, 0)
  await clock.pass(1_000)
  assert.deepEqual(broker.take(), [])
})

test('a round trip that was answered is told of with the instant of its question, one that was not is not', async () => {
  const clock = new ManualClock()
  const broker = new FakeBroker()
  const askedAt: number[] = []
  const receipts = new Receipts(broker, clock, new FakeObserver(), (at) => askedAt.push(at))
  broker.barrierGate = new Gate()
  receipts.ack('r1', 'a', 'JOBS')
  await clock.pass(50)
  await clock.pass(30)
  await broker.barrierGate.open()
  assert.deepEqual(askedAt, [50])
  broker.barrierGate = new Gate()
  receipts.ack('r2', 'a', 'JOBS')
  await clock.pass(50)
  await broker.barrierGate.refuse()
  assert.deepEqual(askedAt, [50])
})

test('a confirmation drops exactly what was sent before it', async () => {
  const { broker, receipts, reconnect } = createReceipts()
  broker.barrierGate = new Gate()
  receipts.ack('before', 'a', 'JOBS')
  receipts.nak('nak-before', 60_000, 30_000, 'JOBS')
  const confirmed = receipts.confirm()
  await settled()
  receipts.ack('after', 'a', 'JOBS')
  receipts.nak('nak-after', 60_000, 30_000, 'JOBS')
  await broker.barrierGate.open()
  assert.equal(await confirmed, true)
  assert.equal(receipts.outstanding, 2)
  broker.take()
  reconnect()
  assert.deepEqual(broker.take(), ['ack before', 'ack after', 'nak nak-after 60000'])
})

test('what was not proven is sent again after a reconnect, and that is said per handler', () => {
  const { broker, observer, receipts, reconnect } = createReceipts()
  receipts.ack('r1', 'a', 'JOBS')
  receipts.ack('r2', 'b', 'JOBS')
  receipts.ack('r3', 'a', 'JOBS')
  broker.take()
  reconnect()
  assert.deepEqual(broker.take(), ['ack r1', 'ack r2', 'ack r3'])
  assert.deepEqual(observer.take(), ['acksRepeated a 2', 'acksRepeated b 1'])
})

test('G2: acks that were proven just before a connection was lost are sent again, older ones are not', async () => {
  const { clock, broker, receipts, reconnect } = createReceipts()
  receipts.ack('old', 'a', 'JOBS')
  await clock.pass(600)
  receipts.ack('late', 'a', 'JOBS')
  receipts.nak('n', 60_000, 30_000, 'JOBS')
  await clock.pass(50)
  assert.equal(receipts.outstanding, 0)
  broker.take()
  await clock.pass(10_000)
  reconnect()
  assert.deepEqual(broker.take(), ['ack late'])
  await clock.pass(50)
  assert.equal(receipts.outstanding, 0)
})

test('a nak is not repeated once the lease has run out: somebody else may have the job', async () => {
  const { clock, broker, receipts, reconnect } = createReceipts()
  broker.connected = false
  receipts.nak('r1', 60_000, 20_000, 'JOBS')
  receipts.nak('r2', 60_000, 20_001, 'JOBS')
  await clock.pass(20_000)
  broker.take()
  reconnect()
  assert.deepEqual(broker.take(), ['nak r2 40000'])
})

test('a nak is repeated with what is left of its delay, and never after it', async () => {
  const { clock, broker, receipts, reconnect } = createReceipts()
  broker.connected = false
  receipts.nak('r1', 1_000, 30_000, 'JOBS')
  receipts.nak('r2', 300, 30_000, 'JOBS')
  receipts.nak('r3', 0, 30_000, 'JOBS')
  await clock.pass(400)
  broker.take()
  reconnect()
  assert.deepEqual(broker.take(), ['nak r1 600'])
  broker.connected = false
  await clock.pass(500)
  broker.take()
  reconnect()
  assert.deepEqual(broker.take(), ['nak r1 100'])
  broker.connected = false
  await clock.pass(100)
  broker.take()
  reconnect()
  assert.deepEqual(broker.take(), [])
  assert.equal(receipts.outstanding, 0)
})

test('a barrier that spans a reconnect proves nothing', async () => {
  const { broker, receipts } = createReceipts()
  broker.barrierGate = new Gate()
  receipts.ack('r1', 'a', 'JOBS')
  const confirmed = receipts.confirm()
  await settled()
  broker.epoch += 1
  await broker.barrierGate.open()
  assert.equal(await confirmed, false)
  assert.equal(receipts.outstanding, 1)
})

test('a barrier that fails proves nothing and is tried again', async () => {
  const { clock, broker, receipts } = createReceipts()
  broker.barrierGate = new Gate()
  receipts.ack('r1', 'a', 'JOBS')
  await clock.pass(50)
  await broker.barrierGate.refuse()
  assert.equal(receipts.outstanding, 1)
  await clock.pass(50)
  await broker.barrierGate.open()
  assert.equal(receipts.outstanding, 0)
})

test('without a connection nothing is asked, and the next connection goes on', async () => {
  const { clock, broker, receipts, reconnect } = createReceipts()
  broker.connected = false
  receipts.ack('r1', 'a', 'JOBS')
  await clock.pass(1_000)
  assert.deepEqual(broker.take(), ['ack r1'])
  reconnect()
  await clock.pass(50)
  assert.deepEqual(broker.take(), ['ack r1', 'barrier'])
  assert.equal(receipts.outstanding, 0)
})

test('a new stream forgets the settlements of the old one, and a barrier under way does not drop new ones', async () => {
  const { broker, receipts, reconnect } = createReceipts()
  broker.barrierGate = new Gate()
  receipts.ack('old1', 'a', 'JOBS')
  receipts.ack('old2', 'a', 'JOBS')
  const confirmed = receipts.confirm()
  await settled()
  receipts.forget('JOBS')
  receipts.ack('new1', 'a', 'JOBS')
  await broker.barrierGate.open()
  await confirmed
  assert.equal(receipts.outstanding, 1)
  broker.take()
  reconnect()
  assert.deepEqual(broker.take(), ['ack new1'])
})

test('of a stream that was made anew nothing is repeated, of the others everything', async () => {
  const { broker, receipts, reconnect } = createReceipts()
  broker.connected = false
  receipts.ack('old', 'a', 'JOBS')
  receipts.ack('high', 'a', 'JOBS_HIGH')
  receipts.nak('old-nak', 60_000, 30_000, 'JOBS')
  receipts.nak('high-nak', 60_000, 30_000, 'JOBS_HIGH')
  receipts.forget('JOBS')
  broker.take()
  reconnect()
  assert.deepEqual(broker.take(), ['ack high', 'nak high-nak 60000'])
})
