import assert from 'node:assert/strict'
import { test } from 'node:test'
import { delivery, fakeEngine, Gate } from '../support/fake-engine-parts.ts'

const headers: [string, string][] = [
  ['Nats-Msg-Id', 'replay:JOBS_DEAD:3'],
  ['Millrace-Job-Id', 'order-7'],
  ['Millrace-Replay-Of', 'JOBS_DEAD:3:1700'],
]

function createWorld() {
  const parts = fakeEngine()
  parts.engine.start()
  return { ...parts, lane: parts.addLane({ concurrency: 10 }) }
}

test('the first job of a replay runs, a second one is acked and does not', async () => {
  const { broker, observer, lane, deliver } = createWorld()
  const job = (await deliver(7, { headers }))!
  assert.deepEqual([lane.outstanding, job.jobId, job.attempt], [1, 'order-7', 1])
  broker.take()
  assert.equal(await deliver(8, { headers }), undefined)
  assert.equal(lane.outstanding, 1)
  assert.deepEqual(broker.take('pull', 'barrier', 'extend'), ['claim 3 8', 'ack r8.1'])
  assert.deepEqual(observer.take('duplicateSuppressed'), ['duplicateSuppressed a'])
})

test('a second job that would die instead of running leaves no second dead letter', async () => {
  const { broker, deliver } = createWorld()
  const expired: [string, string][] = [...headers, ['Millrace-Expires-At', '2020-01-01T00:00:00Z']]
  await deliver(7, { headers: expired })
  await deliver(8, { headers: expired })
  assert.deepEqual(
    broker.letters.map(({ letter }) => letter.sequence),
    [7],
  )
})

test('a replayed job is attempted again like any other', async () => {
  const { lane, deliver, end } = createWorld()
  const job = (await deliver(7, { headers }))!
  await end(lane, job, { kind: 'failed', error: { code: 'x', message: 'no' } })
  const again = (await deliver(7, { headers, deliveries: 2 }))!
  assert.deepEqual([lane.outstanding, again.attempt], [1, 2])
})

test('its handler sees what was enqueued, not how it was carried', async () => {
  const { deliver } = createWorld()
  const job = (await deliver(7, { headers: [...headers, ['X-Tenant', 'blue'], ['Millrace-Replays', '1']] }))!
  assert.deepEqual(job.headers, { 'x-tenant': 'blue', 'millrace-replays': '1' })
})

test('what is no replay, or has moved since, is not looked up', async () => {
  const { broker, lane, deliver } = createWorld()
  broker.take()
  await deliver(8, { headers: [...headers, ['Millrace-Prior-Attempts', '0']] })
  await deliver(9, { headers: headers.map(([name, value]) => [name, name === 'Nats-Msg-Id' ? 'x' : value]) })
  assert.equal(lane.outstanding, 2)
  assert.deepEqual(broker.take('pull', 'barrier', 'extend'), [])
})

test('while the broker is away the job waits, and is let go of when its lease is lost', async () => {
  const { broker, clock, lane, deliver, engine } = createWorld()
  broker.bucketError = new Error('away')
  broker.connected = false
  const job = (await deliver(7, { headers }))!
  await clock.pass(60_000)
  assert.equal(lane.outstanding, 0)
  engine.parts.life.interruption.leaseLost(job)
  await clock.pass(1_000)
  assert.equal(engine.inFlight.size, 0)
  broker.connected = true
  broker.bucketError = undefined
  engine.fromBroker.delivered(delivery(7, { headers, deliveries: 2 }))
  await clock.pass(1_000)
  assert.equal(lane.outstanding, 1)
})

test('an answer that is lost is asked for again, and a broker that only refuses does not hold the job for ever', async () => {
  const { broker, clock, lane, deliver, end } = createWorld()
  broker.claimGate = new Gate()
  await deliver(7, { headers })
  await broker.claimGate.refuse()
  broker.claimGate = undefined
  await clock.pass(1_000)
  assert.equal(lane.outstanding, 1)
  await end(lane, lane.jobs()[0]!, { kind: 'completed' })
  broker.bucketError = new Error('no permission')
  await deliver(8, { headers: headers.map(([name, value]) => [name, value.replace(':3', ':4')]) })
  await clock.pass(5_000)
  assert.equal(lane.outstanding, 0)
  await clock.pass(14_000)
  assert.equal(lane.outstanding, 1)
})
