import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { connect } from '@nats-io/transport-node'
import { type ClientOptions, createClient } from '#src/client/index.js'
import { eventually } from '../support/eventually.ts'
import { linkTo } from '../support/link.ts'
import { World } from '../support/world.ts'

async function open(t: TestContext, world: World, options: ClientOptions = {}) {
  const client = await createClient({ servers: world.server.url, environment: {}, ...options })
  t.after(() => client.close())
  return client
}

/** A broker on which a supervisor has been, or somebody who made the same by hand. */
async function prepared(t: TestContext, streams: Record<string, object>): Promise<World> {
  const world = await World.create(t)
  for (const [name, config] of Object.entries(streams))
    await world.broker.jsm.streams.add({ name, ...config })
  return world
}

async function stored(world: World, stream: string, seq: number) {
  const message = await world.broker.jsm.streams.getMessage(stream, { seq })
  const headers = Object.fromEntries([...message!.header].map(([name, values]) => [name, values.join()]))
  return { subject: message!.subject, text: message!.string(), headers }
}

test('a job arrives at its handler as the client described it', async (t) => {
  const world = await World.create(t)
  const client = await open(t, world)
  await world.supervise()
  const job = { do: 'see', text: 'ü' }
  const enqueued = await client.enqueue('act', job, {
    id: 'order 7',
    headers: { traceparent: '00-1', 'X-Tenant': 'blau' },
    expiresAt: new Date(Date.now() + 60_000),
    maxAttempts: 2,
    deadlineMs: 7_000,
  })
  assert.deepEqual(enqueued, { id: 'order 7', stream: 'JOBS', sequence: 1, duplicate: false })
  const again = await client.enqueue('act', job, { id: 'order 7' })
  assert.deepEqual(again, { ...enqueued, duplicate: true })
  await client.enqueue('bytes', Uint8Array.of(0, 255, 13, 10), { id: 'bytes' })
  await client.enqueue('bytes', undefined, { id: 'nothing' })
  await world.broker.drained()
  const seen = (id: string) => world.ledger.lines().find((line) => line.kind === 'seen' && line.id === id)!
  const line = seen('order 7') as unknown as Record<string, Record<string, unknown>>
  assert.deepEqual(line['payload'], job)
  assert.equal(line['headers']?.['x-tenant'], 'blau')
  assert.equal(line['headers']?.['traceparent'], '00-1')
  assert.equal(line['maxAttempts'], 2)
  assert.equal((seen('bytes') as unknown as Record<string, unknown>)['hex'], '00ff0d0a')
  assert.equal((seen('nothing') as unknown as Record<string, unknown>)['type'], 'undefined')
})

test('a server that says what is not NATS is a warning of the process, and the client connects again', async (t) => {
  const world = await prepared(t, { JOBS: { subjects: ['jobs.>'] } })
  const bad = await linkTo(t, world.server.url)
  const client = await open(t, world, { servers: bad.url, requestMs: 20_000 })
  const warnings: (Error & { code?: string })[] = []
  const listen = (warning: Error) => warnings.push(warning)
  process.on('warning', listen)
  t.after(() => process.off('warning', listen))
  bad.inject('MSG x 1 1\r\na\r\nsecret payload\r\n')
  const told = () => warnings.find(({ code }) => code === 'nats_protocol')
  await eventually('it is told', () => told() !== undefined)
  assert.match(told()!.message, /could not be read \(parse error \[\d+\]\), connecting again$/)
  assert.equal(String(told()!.stack).includes('payload'), false)
  assert.equal((await client.enqueue('act', 1)).sequence, 1)
})

test('priority, key and instants are on the wire what the contract says', async (t) => {
  const world = await prepared(t, { JOBS_HIGH: { subjects: ['high.jobs.>'] } })
  const client = await open(t, world)
  const { id, stream } = await client.enqueue('email.send', 1, {
    priority: 'high',
    key: 'ä b',
    runAt: '2031-01-31T12:00:00Z',
  })
  assert.equal(stream, 'JOBS_HIGH')
  assert.deepEqual(await stored(world, 'JOBS_HIGH', 1), {
    subject: 'high.jobs.email.send',
    text: '1',
    headers: { 'Nats-Msg-Id': id, 'Millrace-Key': 'ä b', 'Millrace-Run-At': '2031-01-31T12:00:00Z' },
  })
})

test('pause, resume and cancel write the entries that supervisors watch', async (t) => {
  const world = await prepared(t, { KV_jobs_control: { subjects: ['$KV.jobs_control.>'] } })
  const client = await open(t, world, { name: 'ann@host' })
  await client.pause('email.send')
  await client.resume('email.send')
  await client.cancel('JOBS:1 ü')
  const [paused, resumed, cancelled] = await Promise.all(
    [1, 2, 3].map((sequence) => stored(world, 'KV_jobs_control', sequence)),
  )
  assert.equal(paused!.subject, '$KV.jobs_control.paused.email.send')
  const { at, by } = JSON.parse(paused!.text) as { at: string; by: string }
  assert.equal(by, 'ann@host')
  assert.ok(Math.abs(Date.parse(at) - Date.now()) < 60_000)
  assert.equal(resumed!.subject, paused!.subject)
  assert.deepEqual([resumed!.text, resumed!.headers], ['', { 'KV-Operation': 'DEL' }])
  assert.equal(cancelled!.subject, '$KV.jobs_control.cancelled.JOBS=3A1=20=C3=BC')
  assert.equal((JSON.parse(cancelled!.text) as { id: string }).id, 'JOBS:1 ü')
  await assert.rejects(client.pause('a b'), { code: 'invalid_job' })
  await assert.rejects(client.cancel(''), { code: 'invalid_job' })
})

test('what the broker refuses is said at once, with the code that tells why', async (t) => {
  const world = await prepared(t, {
    JOBS: { subjects: ['jobs.>'], max_msgs: 1, discard: 'new', max_msg_size: 2_000 },
  })
  const client = await open(t, world, { requestMs: 60_000 })
  await client.enqueue('a', 1)
  await assert.rejects(client.enqueue('a', 2), { code: 'stream_full', message: /stream JOBS is full/ })
  await assert.rejects(client.enqueue('a', 'x'.repeat(3_000)), {
    code: 'payload_too_large',
    message: /2000|JOBS/,
  })
  await assert.rejects(client.enqueue('a', 'x'.repeat(2_000_000)), {
    code: 'payload_too_large',
    message: /max_payload/,
  })
  await assert.rejects(client.enqueue('a', 3, { priority: 'low' }), {
    code: 'topology_missing',
    message: /no stream JOBS_LOW; a supervisor of this namespace creates it/,
  })
  await assert.rejects(client.pause('a'), { code: 'topology_missing', message: /no bucket jobs_control/ })
  assert.equal(await client.outcome('a'), undefined, 'without a bucket nothing is known')
  const elsewhere = await open(t, world, { namespace: 'other' })
  await assert.rejects(elsewhere.enqueue('a', 1), { code: 'topology_missing', message: /OTHER/ })
})

test('an account that may not publish is told so', async (t) => {
  const serverConfig = `authorization { users: [
    { user: reader, password: p, permissions: { publish: ["$JS.API.>"], subscribe: ["_INBOX.>"] } } ] }`
  // The world's own client has no account here.
  const { startTestServer } = await import('../support/nats-server.ts')
  const server = await startTestServer(t, { config: serverConfig })
  const options = { servers: server.url, environment: {}, user: 'reader', requestMs: 60_000 }
  await assert.rejects(createClient({ ...options, password: 'wrong' }), { code: 'not_permitted' })
  const client = await createClient({ ...options, password: 'p' })
  t.after(() => client.close())
  await assert.rejects(client.enqueue('a', 1), { code: 'not_permitted', message: /publishing to jobs\.a/ })
})

test('a job that is enqueued while the broker restarts is stored once', async (t) => {
  const world = await prepared(t, { JOBS: { subjects: ['jobs.>'] } })
  const client = await open(t, world, { requestMs: 60_000 })
  await client.enqueue('a', 0)
  world.server.kill('SIGKILL')
  await world.server.ended()
  const jobs = Array.from({ length: 20 }, (_, n) => client.enqueue('a', n + 1))
  await world.server.restart()
  const enqueued = await Promise.all(jobs)
  assert.equal(new Set(enqueued.map(({ sequence }) => sequence)).size, 20)
  // The client may be back before the test's own connection is.
  await eventually('the test is connected again', async () => (await world.broker.jobsLeft()) >= 21)
  assert.equal(await world.broker.jobsLeft(), 21)
})

test('a broker that stays away is an error after the time for requests', async (t) => {
  const world = await prepared(t, { JOBS: { subjects: ['jobs.>'] } })
  const client = await open(t, world, { requestMs: 300 })
  world.server.kill('SIGKILL')
  await world.server.ended()
  await assert.rejects(client.enqueue('a', 0), { code: 'broker_unreachable' })
  await assert.rejects(client.outcome('a'), { code: 'broker_unreachable' })
  await assert.rejects(client.waitFor('a', { timeoutMs: 300 }), { code: 'wait_timeout' })
  const nobody = { servers: 'nats://127.0.0.1:1', environment: {}, connectMs: 200 }
  await assert.rejects(createClient(nobody), { code: 'broker_unreachable' })
})

test('the environment comes before the options, and wrong ones are refused', async (t) => {
  const world = await prepared(t, { OWN: { subjects: ['own.>'] } })
  const environment = { NATS_URL: world.server.url, MILLRACE_NAMESPACE: 'own' }
  const client = await open(t, world, { environment, servers: 'nats://127.0.0.1:1', namespace: 'not-that' })
  assert.equal((await client.enqueue('a')).stream, 'OWN')
  await assert.rejects(createClient({ environment: { MILLRACE_NAMESPACE: 'Not That' } }), {
    code: 'invalid_settings',
  })
  await assert.rejects(createClient({ environment: {}, server: 'a' } as ClientOptions), {
    code: 'invalid_settings',
    message: /server is not an option of createClient/,
  })
  await assert.rejects(createClient({ environment: {}, requestMs: -1 }), { code: 'invalid_settings' })
})

test('closing ends what waits, and leaves a connection that was given open', async (t) => {
  const world = await prepared(t, { JOBS: { subjects: ['jobs.>'] } })
  const connection = await connect({ servers: world.server.url })
  t.after(() => connection.close())
  const client = await createClient({ connection, environment: {} })
  await client.enqueue('a', 1)
  const waiting = assert.rejects(client.waitFor('x'), { code: 'client_closed' })
  await client.close()
  await client.close()
  await waiting
  await assert.rejects(client.enqueue('a', 1), { code: 'client_closed' })
  assert.equal(connection.isClosed(), false)
  const orphan = await createClient({ connection, environment: {} })
  await connection.close()
  await assert.rejects(orphan.enqueue('a', 1), { code: 'client_closed' })
  await assert.rejects(orphan.waitFor('a'), { code: 'client_closed' })
})

test('a waiter hears of the progress of its job and of no other', async (t) => {
  const world = await World.create(t)
  const client = await open(t, world)
  await world.supervise()
  const heard: Record<string, unknown[]> = { all: [], some: [], wrong: [] }
  const gate = world.gate('go')
  const signal = AbortSignal.timeout(60_000)
  const wait = (name: string, id: string, handler?: string) =>
    client
      .waitFor(id, { timeoutMs: 60_000, signal, handler, onProgress: (value) => heard[name]!.push(value) })
      .catch(() => {})
  void wait('all', 'one')
  void wait('some', 'one', 'act')
  void wait('wrong', 'one', 'io')
  world.broker.nc.publish('events.jobs.act.progress', 'this is no JSON')
  await client.enqueue('act', { do: 'progress', values: [{ done: 1 }] }, { id: 'two' })
  await client.enqueue('act', { do: 'progress', values: [{ done: 2 }], gate: gate.path }, { id: 'one' })
  await eventually('it is heard', () => heard['all']!.length > 0 && heard['some']!.length > 0)
  assert.deepEqual(heard, { all: [{ done: 2 }], some: [{ done: 2 }], wrong: [] })
  await client.close()
})

test('a callback that throws costs the client nothing, and is told as any uncaught exception', async (t) => {
  const world = await World.create(t)
  await world.supervise()
  const client = await open(t, world)
  const thrown: Error[] = []
  process.setUncaughtExceptionCaptureCallback((error) => thrown.push(error))
  t.after(() => process.setUncaughtExceptionCaptureCallback(null))
  const onProgress = (): never => {
    throw new Error('a mistake')
  }
  const waiting = client.waitFor('one', { timeoutMs: 60_000, onProgress }).catch(() => {})
  await client.enqueue('act', { do: 'progress', values: [1] }, { id: 'one' })
  await eventually('it is told', () => thrown.length > 0)
  assert.equal(thrown[0]?.message, 'a mistake')
  await client.enqueue('act', { do: 'complete' }, { id: 'two' })
  await client.close()
  await waiting
})
