import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { AckPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { namesFor } from '#src/core/names.js'
import { advanced, firstRecord, published } from '#src/core/ticks.js'
import { TickStream } from '#src/nats/tick-stream.js'
import { startTestServer } from '../support/nats-server.ts'

const day = Date.UTC(2026, 0, 1)

async function createWorld(t: TestContext) {
  const server = await startTestServer(t)
  const nc = await connect({ servers: server.url })
  t.after(() => nc.close())
  const jsm = await jetstreamManager(nc, { checkAPI: false })
  const js = jetstream(nc)
  const names = namesFor('jobs')
  await jsm.streams.add({ name: 'JOBS', subjects: ['jobs.>'], retention: 'workqueue' })
  await jsm.streams.add({ name: 'JOBS_TICKS', subjects: ['ticks.jobs.>'], max_msgs_per_subject: 1 })
  await jsm.consumers.add('JOBS', {
    durable_name: 'a',
    filter_subject: 'jobs.a',
    ack_policy: AckPolicy.Explicit,
  })
  let failures = 0
  const hooks = {
    isConnected: () => true,
    failed: () => {
      failures += 1
    },
  }
  return { js, jsm, ticks: new TickStream(js, jsm, names, hooks), failures: () => failures }
}

test('a record is written by whoever read it last, and read as it was written', async (t) => {
  const { js, ticks, failures } = await createWorld(t)
  assert.deepEqual(await ticks.read('a.b'), { record: undefined, revision: 0 })
  const first = firstRecord(day, 's1')
  const revision = await ticks.write('a.b', first, 0)
  assert.ok(revision)
  assert.equal(await ticks.write('a.b', first, 0), undefined)
  const second = published(advanced(first, day + 1, 'claimed', 's2'), 7)
  assert.ok(await ticks.write('a.b', second, revision))
  assert.equal(await ticks.write('a.b', second, revision), undefined)
  assert.deepEqual((await ticks.read('a.b')).record, second)
  await js.publish('ticks.jobs.a.b', 'what is this?')
  const odd = await ticks.read('a.b')
  assert.equal(odd.record, undefined)
  assert.ok(await ticks.write('a.b', second, odd.revision))
  assert.equal(failures(), 0)
})

test('without the stream every request is refused, and that is told', async (t) => {
  const { jsm, ticks, failures } = await createWorld(t)
  await jsm.streams.delete('JOBS_TICKS')
  await assert.rejects(ticks.read('a'))
  await assert.rejects(ticks.write('a', firstRecord(day, 's1'), 0))
  assert.equal(failures(), 2)
})

test("a tick's job is stored once under its id, and settled when it is acked", async (t) => {
  const { js, ticks } = await createWorld(t)
  const job = { id: 'tick:a:x', schedule: 'a', handler: 'a', instant: day, payload: '{"n":1}' }
  assert.deepEqual(await ticks.publishJob(job), { sequence: 1, duplicate: false })
  assert.deepEqual(await ticks.publishJob(job), { sequence: 1, duplicate: true })
  assert.equal(await ticks.isSettled('a', job.id, 1), false)
  assert.equal(await ticks.isSettled('a', 'tick:a:y', 1), true, 'another job stands there')
  const message = await (await js.consumers.get('JOBS', 'a')).next()
  assert.equal(message!.string(), '{"n":1}')
  assert.equal(message!.headers!.get('Millrace-Tick'), '2026-01-01T00:00:00.000Z')
  assert.equal(message!.headers!.get('Millrace-Schedule'), 'a')
  assert.equal(await ticks.isSettled('a', job.id, 1), false)
  await message!.ackAck()
  assert.equal(await ticks.isSettled('a', job.id, 1), true)
})
