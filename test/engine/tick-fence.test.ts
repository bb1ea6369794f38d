import assert from 'node:assert/strict'
import { test } from 'node:test'
import { advanced, firstRecord, published } from '#src/core/ticks.js'
import { delivery, fakeEngine } from '../support/fake-engine-parts.ts'

const day = Date.UTC(2026, 0, 1)

/** An engine, a schedule whose tick of midnight is claimed, and the headers of that tick's job. */
function createWorld() {
  const parts = fakeEngine()
  const { ticks } = parts
  parts.engine.start()
  const lane = parts.addLane({ concurrency: 10 })
  ticks.put('a', advanced(firstRecord(0, 's2'), day, 'claimed', 's2'))
  const headers: [string, string][] = [
    ['Nats-Msg-Id', 'tick:a:2026-01-01T00:00:00.000Z'],
    ['Millrace-Schedule', 'a'],
    ['Millrace-Tick', '2026-01-01T00:00:00.000Z'],
  ]
  return { ...parts, lane, headers, record: () => ticks.records.get('a')!.record }
}

test('G7: the first job of a tick is written down and runs, a second one is acked and does not', async () => {
  const { broker, lane, ticks, headers, deliver, record } = createWorld()
  await deliver(7, { headers })
  assert.equal(lane.outstanding, 1)
  assert.deepEqual(record(), published(advanced(firstRecord(0, 's2'), day, 'claimed', 's2'), 7))
  broker.take()
  assert.equal(await deliver(8, { headers }), undefined)
  assert.equal(lane.outstanding, 1)
  assert.deepEqual(broker.take('pull', 'barrier', 'extend'), ['ack r8.1'])
  assert.deepEqual(ticks.take(), ['duplicate a'])
})

test('a job that another of its tick forestalls while it is looked up does not run', async () => {
  const { ticks, lane, headers, deliver, record } = createWorld()
  ticks.before = (step) => {
    if (step !== 'write') return
    ticks.before = () => {}
    ticks.put('a', published(record(), 8))
  }
  assert.equal(await deliver(7, { headers }), undefined)
  assert.equal(lane.outstanding, 0)
  assert.deepEqual(record().jobs, [{ instant: day, sequence: 8 }])
})

test('the job of a tick is attempted again like any other', async () => {
  const { broker, lane, headers, deliver, end } = createWorld()
  const job = (await deliver(7, { headers }))!
  await end(lane, job, { kind: 'failed', error: { code: 'x', message: 'no' } })
  assert.deepEqual(broker.take('pull', 'write', 'extend'), ['nak r7.1 1000'])
  const again = (await deliver(7, { headers, deliveries: 2 }))!
  assert.deepEqual([lane.outstanding, again.attempt], [1, 2])
})

test('a job that has moved, or is no tick, is not looked up', async () => {
  const { ticks, lane, headers, deliver } = createWorld()
  let reads = 0
  ticks.before = () => {
    reads += 1
  }
  await deliver(8, { headers: [...headers, ['Millrace-Job-Id', 'tick:a:2026-01-01T00:00:00.000Z']] })
  await deliver(9, { headers: [['Nats-Msg-Id', 'x']] })
  assert.deepEqual([lane.outstanding, reads], [2, 0])
})

test('while the broker is away the job waits, and is let go of when its lease is lost', async () => {
  const { clock, ticks, lane, headers, deliver, engine } = createWorld()
  ticks.before = () => {
    throw new Error('away')
  }
  ticks.connected = false
  const job = (await deliver(7, { headers }))!
  await clock.pass(5_000)
  assert.equal(lane.outstanding, 0)
  engine.parts.life.interruption.leaseLost(job)
  await clock.pass(1_000)
  assert.equal(engine.inFlight.size, 0)
  engine.fromBroker.delivered(delivery(7, { headers, deliveries: 2 }))
  ticks.connected = true
  ticks.before = () => {}
  await clock.pass(1_000)
  assert.equal(lane.outstanding, 1)
})

test('a broker that is there and refuses does not hold the job up for ever', async () => {
  const { clock, ticks, lane, headers, deliver } = createWorld()
  ticks.before = () => {
    throw new Error('no permission')
  }
  await deliver(7, { headers })
  assert.equal(lane.outstanding, 0)
  await clock.pass(3_000)
  assert.equal(lane.outstanding, 1)
  assert.deepEqual(ticks.take(), ['unavailable a'])
})
