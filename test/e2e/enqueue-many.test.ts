import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { jetstream } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { type ClientOptions, createClient, type JobToEnqueue } from '#src/client/index.js'
import { eventually } from '../support/eventually.ts'
import { startTestServer } from '../support/nats-server.ts'
import { World } from '../support/world.ts'

/** A broker on which somebody has made the stream of jobs, and a client of it. */
async function prepared(t: TestContext, stream: object = {}, options: ClientOptions = {}) {
  const world = await World.create(t)
  await world.broker.jsm.streams.add({ name: 'JOBS', subjects: ['jobs.>'], ...stream })
  const client = await createClient({ servers: world.server.url, environment: {}, ...options })
  t.after(() => client.close())
  return { world, client }
}

/** Every stored job, in its order. */
async function storedJobs({ broker }: World): Promise<{ id: string; subject: string; text: string }[]> {
  const { state } = await broker.jsm.streams.info('JOBS')
  const jobs: { id: string; subject: string; text: string }[] = []
  if (state.messages === 0) return jobs
  const consumer = await jetstream(broker.nc).consumers.get('JOBS')
  for await (const message of await consumer.consume()) {
    const { subject } = message
    jobs.push({ id: message.headers!.get('Nats-Msg-Id'), subject, text: message.string() })
    if (message.seq === state.last_seq) break
  }
  return jobs
}

function* numbered(count: number): Generator<JobToEnqueue> {
  for (let n = 0; n < count; n += 1) yield { id: `${n}`, payload: { n } }
}

test('jobs of a generator are stored once each and in their order', async (t) => {
  const { world, client } = await prepared(t)
  const count = 5_000
  const report = await client.enqueueMany(numbered(count), { handler: 'many', inFlightJobs: 300 })
  assert.deepEqual(report, { stored: count, duplicates: 0, failed: 0, failures: [], stopped: undefined })
  assert.deepEqual(
    await storedJobs(world),
    [...Array(count).keys()].map((n) => ({ id: `${n}`, subject: 'jobs.many', text: `{"n":${n}}` })),
  )
  const again = await client.enqueueMany(numbered(100), { handler: 'many' })
  assert.deepEqual([again.stored, again.duplicates], [0, 100])
})

test('every kind of job arrives as it was given, also from a source that takes its time', async (t) => {
  const { world, client } = await prepared(t)
  async function* jobs(): AsyncGenerator<JobToEnqueue> {
    yield { payload: 'ü€😀' }
    yield { handler: 'other', payload: undefined, key: 'ä' }
    yield { payload: Uint8Array.of(0, 255, 13, 10), id: 'bytes' }
    yield { payload: [], headers: { 'X-Tenant': 'größe' } }
  }
  const places: string[] = []
  const report = await client.enqueueMany(jobs(), {
    handler: 'a.b',
    onStored: ({ index, stream, sequence, duplicate }) =>
      places.push(`${index} ${stream} ${sequence} ${duplicate}`),
  })
  assert.equal(report.stored, 4)
  assert.deepEqual(places, ['0 JOBS 1 false', '1 JOBS 2 false', '2 JOBS 3 false', '3 JOBS 4 false'])
  const messages = await Promise.all(
    [1, 2, 3, 4].map((seq) => world.broker.jsm.streams.getMessage('JOBS', { seq })),
  )
  assert.deepEqual(
    messages.map((message) => [message!.subject, Buffer.from(message!.data).toString('hex')]),
    [
      ['jobs.a.b', Buffer.from('"ü€😀"').toString('hex')],
      ['jobs.other', ''],
      ['jobs.a.b', '00ff0d0a'],
      ['jobs.a.b', Buffer.from('[]').toString('hex')],
    ],
  )
  assert.equal(messages[1]!.header.get('Millrace-Key'), 'ä')
  assert.equal(messages[2]!.header.get('content-type'), 'application/octet-stream')
  assert.equal(messages[3]!.header.get('X-Tenant'), 'größe')
})

test('what the broker refuses is told of by its place, and the others are stored', async (t) => {
  const { world, client } = await prepared(
    t,
    { max_msgs: 3, discard: 'new', max_msg_size: 2_000 },
    { requestMs: 60_000 },
  )
  const report = await client.enqueueMany(
    [
      { id: 'one' },
      { id: 'more than the stream takes', payload: 'x'.repeat(3_000) },
      { id: 'more than the server takes', payload: 'x'.repeat(2_000_000) },
      { id: 'without a stream', priority: 'low' },
      { id: 'unfit', delayMs: -1 },
      { id: 'two' },
      { id: 'three' },
      { id: 'one' },
      { id: 'no room' },
    ],
    { handler: 'a' },
  )
  assert.deepEqual(
    report.failures.map(({ index, id, error }) => [index, id, error.code]),
    [
      [1, 'more than the stream takes', 'payload_too_large'],
      [2, 'more than the server takes', 'payload_too_large'],
      [3, 'without a stream', 'topology_missing'],
      [4, 'unfit', 'invalid_job'],
      [8, 'no room', 'stream_full'],
    ],
  )
  assert.deepEqual([report.stored, report.duplicates, report.failed], [3, 1, 5])
  assert.deepEqual(
    (await storedJobs(world)).map(({ id }) => id),
    ['one', 'two', 'three'],
  )
})

test('jobs without a stream all fail, and the broker is not asked about it for each', async (t) => {
  const world = await World.create(t)
  const client = await createClient({ servers: world.server.url, environment: {}, requestMs: 60_000 })
  t.after(() => client.close())
  let asked = 0
  world.broker.nc.subscribe('$JS.API.STREAM.INFO.JOBS', {
    callback: () => {
      asked += 1
    },
  })
  await world.broker.nc.flush()
  const report = await client.enqueueMany(numbered(1_000), { handler: 'a' })
  assert.equal(report.failed, 1_000)
  assert.deepEqual([...new Set(report.failures.map(({ error }) => error.code))], ['topology_missing'])
  await world.broker.nc.flush()
  assert.ok(asked > 0 && asked < 100, `asked ${asked} times`)
})

test('an account that may not publish is told so for each job', async (t) => {
  const config = `authorization { users: [
    { user: reader, password: p, permissions: { publish: ["$JS.API.>"], subscribe: ["_INBOX.>"] } },
    { user: deaf, password: p, permissions: { publish: [">"], subscribe: ["nothing"] } } ] }`
  const server = await startTestServer(t, { config })
  for (const user of ['reader', 'deaf']) {
    // A client of our own would already fail to ask whether there is JetStream.
    const connection = await connect({ servers: server.url, user, pass: 'p' })
    t.after(() => connection.close())
    const client = await createClient({ connection, environment: {}, requestMs: 60_000 })
    for (let round = 0; round < 2; round += 1) {
      const { failures } = await client.enqueueMany(numbered(3), { handler: 'a' })
      assert.deepEqual(
        failures.map(({ error }) => error.code),
        Array(3).fill('not_permitted'),
        user,
      )
    }
  }
})

test('a broker that is killed in the midst of it has every job once in the end', async (t) => {
  const { world, client } = await prepared(t, {}, { requestMs: 60_000 })
  const count = 4_000
  let confirmed = 0
  const enqueuing = client.enqueueMany(numbered(count), {
    handler: 'a',
    inFlightJobs: 200,
    onStored: () => {
      confirmed += 1
      if (confirmed === 1_000) world.server.kill('SIGKILL')
    },
  })
  await world.server.ended()
  await world.server.restart()
  const report = await enqueuing
  assert.ok(confirmed > 1_000)
  assert.deepEqual([report.stored + report.duplicates, report.failed], [count, 0])
  await eventually('the test is connected again', () => world.broker.nc.rtt())
  const ids = (await storedJobs(world)).map(({ id }) => Number(id))
  assert.deepEqual(
    ids.toSorted((one, other) => one - other),
    [...Array(count).keys()],
  )
})

test('a client that has the handlers refuses what their schemas would, and stores the rest', async (t) => {
  const { world } = await prepared(t)
  const { default: thumbnail } = await import('#src/handlers/image/thumbnail.js')
  const handlers = { 'image.thumbnail': thumbnail }
  const client = await createClient({ servers: world.server.url, environment: {}, handlers })
  t.after(() => client.close())
  const payload = { source: 'secret.png', output: 'b.png', width: 7 }
  const wrong = { ...payload, width: 0.5 }
  await assert.rejects(
    client.enqueue('image.thumbnail', wrong),
    ({ code, message }: NodeJS.ErrnoException) => {
      assert.equal(code, 'invalid_job')
      return !message.includes('secret')
    },
  )
  const report = await client.enqueueMany([{ payload: wrong }, { payload }], { handler: 'image.thumbnail' })
  assert.deepEqual([report.stored, report.failures[0]?.error.code], [1, 'invalid_job'])
  assert.equal((await storedJobs(world)).length, 1)
})

/** A letter for each thread of a process, as in proc(5). */
function statesOf(pid: number): string[] {
  const tasks = `/proc/${pid}/task`
  return readdirSync(tasks).map((id) => {
    const stat = readFileSync(`${tasks}/${id}/stat`, 'utf8')
    return stat[stat.lastIndexOf(')') + 2]!
  })
}

test('what is under way when its connection ends fails at once', async (t) => {
  const { world, client } = await prepared(t, {}, { requestMs: 60_000 })
  world.server.kill('SIGSTOP')
  await eventually('every thread of the server stands still', () =>
    statesOf(world.server.pid).every((state) => state === 'T'),
  )
  const enqueuing = client.enqueueMany(numbered(10), { handler: 'a' })
  const single = assert.rejects(client.enqueue('a'), { code: 'client_closed' })
  await client.close()
  world.server.kill('SIGCONT')
  const { failures } = await enqueuing
  assert.deepEqual(
    failures.map(({ error }) => error.code),
    Array(10).fill('client_closed'),
  )
  await single
})

test('an abort leaves what was confirmed stored, and nothing else', async (t) => {
  const { world, client } = await prepared(t)
  const abort = new AbortController()
  let heard = 0
  const report = await client.enqueueMany(numbered(1_000_000), {
    handler: 'a',
    inFlightJobs: 100,
    signal: abort.signal,
    onStored: () => {
      heard += 1
      if (heard === 500) abort.abort()
    },
  })
  assert.equal(report.stopped, 'aborted')
  assert.equal(report.failed, 0)
  assert.equal(report.stored, heard)
  assert.equal((await storedJobs(world)).length, report.stored)
})

test('a client that is closed says how far it came, and leaves nothing at the connection', async (t) => {
  const { world } = await prepared(t)
  const connection = await connect({ servers: world.server.url })
  t.after(() => connection.close())
  const client = await createClient({ connection, environment: {} })
  const { protocol } = connection as unknown as {
    protocol: { subscriptions: { size(): number }; listeners: unknown[] }
  }
  const held = (): number[] => [protocol.subscriptions.size(), protocol.listeners.length]
  const before = held()
  const report = await client.enqueueMany(numbered(1_000_000), {
    handler: 'a',
    onStored: ({ index }) => {
      if (index === 100) void client.close()
    },
  })
  assert.equal(report.stopped, 'closed')
  assert.equal((await storedJobs(world)).length, report.stored)
  assert.deepEqual(held(), before)
  await assert.rejects(client.enqueueMany([]), { code: 'client_closed' })
})
