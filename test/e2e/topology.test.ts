import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settlingMs } from '#src/nats/absences.js'
import { eventually } from '../support/eventually.ts'
import { World } from '../support/world.ts'

test('what somebody deletes under a running supervisor comes back', async (t) => {
  const world = await World.create(t)
  await world.supervise()
  const { broker, ledger } = world

  let serial = 0
  const works = async (handler: string) => {
    const n = ++serial
    await eventually('a job can be enqueued', () => broker.enqueue(handler, { do: 'return', n }))
    const isIt = (line: { kind: string; n?: unknown }) => line.kind === 'end' && line.n === n
    await eventually(`job ${n}, for ${handler}, runs`, () => ledger.lines().some(isIt))
  }
  const old = await broker.deadLetter(await broker.enqueue('act', { do: 'permanent', text: 'old' }))
  assert.equal(old.jobId, 'JOBS:1')

  await t.test('a consumer', async () => {
    await works('act')
    await broker.jsm.consumers.delete('JOBS', 'act')
    await works('act')
    await works('io')
    assert.equal((await broker.jsm.consumers.info('JOBS', 'act')).config.max_deliver, -1)
  })

  await t.test('the job stream, whose new jobs are not taken for the old ones', async () => {
    await broker.jsm.streams.delete('JOBS')
    await eventually('the stream is back', () => broker.jsm.streams.info('JOBS'))
    const id = await eventually('a job can be enqueued', () =>
      broker.enqueue('act', { do: 'permanent', text: 'new' }),
    )
    assert.equal(id, 'JOBS:1')
    await eventually('G1: the new job has a dead letter of its own', async () => {
      const bodies = (await broker.deadLetters()).map((letter) => Buffer.from(letter.body).toString())
      assert.deepEqual(bodies, ['{"do":"permanent","text":"old"}', '{"do":"permanent","text":"new"}'])
      return true
    })
    for (let n = 0; n < 5; n++) {
      await works('act')
      await works('email.send')
    }
    await broker.drained()
  })
})

test('what is deleted is not made anew before the server has removed all of it', async (t) => {
  const world = await World.create(t)
  const supervisor = await world.supervise()
  const { broker, ledger } = world
  const madeAt = new Map<string, number>()
  const prefix = '$JS.API.STREAM.CREATE.'
  broker.nc.subscribe(`${prefix}*`, {
    callback: (_, { subject }) => void madeAt.set(subject.slice(prefix.length), performance.now()),
  })
  await broker.nc.flush()

  for (const stream of [
    'JOBS',
    'JOBS_HIGH',
    'JOBS_DEAD',
    'JOBS_DELAYED',
    'KV_jobs_attempts',
    'KV_jobs_control',
  ]) {
    madeAt.clear()
    const deletedAt = performance.now()
    await broker.jsm.streams.delete(stream)
    // Some are missed only by who needs them, or when something else is looked for.
    if (stream === 'JOBS_DEAD') void broker.enqueue('act', { do: 'permanent' })
    if (stream === 'KV_jobs_attempts') void broker.enqueue('act', { do: ['throw', 'return'] })
    if (stream === 'JOBS_DELAYED' || stream === 'JOBS_HIGH') await broker.jsm.consumers.delete('JOBS', 'io')
    await eventually(`${stream} is made anew`, () => madeAt.has(stream))
    assert.ok(madeAt.get(stream)! - deletedAt >= settlingMs, `${stream} was made anew at once`)
    await supervisor.ready()
  }
  const id = await broker.enqueue('act', { do: 'return' })
  await eventually('a job runs', () => ledger.ends(id).some(({ how }) => how === 'returned'))
})

test('a consumer that only one server still has, and calls leaderless, is made and used', async (t) => {
  const info = '$JS.API.CONSUMER.INFO.JOBS_LOW.act'
  const world = await World.create(t, { serverConfig: `mappings { "${info}": "behind" }` })
  const { broker, ledger } = world
  let asked = 0
  // As a server of a cluster answers before the others can.
  broker.nc.subscribe('behind', {
    callback: (_, message) => {
      asked += 1
      const error = { code: 503, err_code: 10008, description: 'JetStream system temporarily unavailable' }
      message.respond(JSON.stringify({ type: 'io.nats.jetstream.api.v1.consumer_info_response', error }))
    },
  })
  let made = 0
  broker.nc.subscribe('$JS.API.CONSUMER.>', {
    callback: (_, { subject }) => {
      if (/CREATE\.JOBS_LOW/.test(subject)) made += 1
    },
  })
  const supervisor = await world.supervise()
  const runs = async () => {
    const id = await broker.enqueue('act', { do: 'return' }, { priority: 'low' })
    await eventually('the job runs', () => ledger.ends(id).length === 1)
  }
  await runs()
  const before = asked
  await broker.jsm.consumers.delete('JOBS', 'io')
  await eventually('another look asks for it', () => asked > before)
  await supervisor.ready()
  await runs()
  assert.equal(made, 1)
})

test('a supervisor that must not manage says all that is missing and starts when it is there', async (t) => {
  const world = await World.create(t)
  const { broker, ledger } = world
  const bound = world.spawn({ MILLRACE_MANAGE: 'false' })
  await bound.url()
  const missing = [
    'JOBS',
    'JOBS_DEAD',
    'JOBS_DELAYED',
    'jobs_attempts',
    'act',
    'io',
    'email_send',
    'deep_er_nested-one',
    'checked',
  ]
  await eventually('/readyz names everything that is missing', async () => {
    const { status, body } = await bound.get('/readyz')
    assert.equal(status, 503)
    for (const name of missing) assert.ok(body.includes(name), `${name} is not in ${body}`)
    return true
  })
  assert.ok(bound.stdout.includes('JOBS_DEAD') && bound.stdout.includes('jobs_attempts'), 'it is not logged')
  assert.equal((await broker.jsm.streams.list().next()).length, 0, 'it made something')
  assert.equal((await bound.get('/healthz')).status, 200)

  assert.deepEqual(await (await world.supervise()).stop(), { code: 0, signal: null })
  await bound.ready()
  const id = await broker.enqueue('act', { do: 'return' })
  await broker.drained()
  assert.deepEqual(
    ledger.ends(id).map((line) => line.pid),
    [bound.pid],
  )
})

for (const trouble of ['full', 'deleted'] as const) {
  test(`G1: while the dead-letter stream is ${trouble}, the job waits, runs no more and blocks nobody`, async (t) => {
    const world = await World.create(t, {
      env: { MILLRACE_THREADS: '1', MILLRACE_ACK_WAIT_MS: '1000', MILLRACE_MAX_ATTEMPTS: '1' },
    })
    const supervisor = await world.supervise()
    const { broker, ledger } = world
    await broker.deadLetter(await broker.enqueue('act', { do: 'permanent' }))
    if (trouble === 'full') await broker.jsm.streams.update('JOBS_DEAD', { max_msgs: 1 })
    else await broker.jsm.streams.delete('JOBS_DEAD')

    const stuck = await broker.enqueueAll('act', [
      { do: 'permanent' },
      { do: 'throw' },
      { do: 'exit', exitCode: 1 },
    ])
    await eventually('they have all run', () => stuck.every((id) => ledger.starts(id).length === 1))
    // Three jobs of a second each on the one thread: longer than the leases of the stuck jobs.
    const others = await broker.enqueueAll(
      'act',
      Array.from({ length: 3 }, () => ({ do: 'sleep', ms: 1000 })),
    )
    await eventually('other jobs go on', () => others.every((id) => ledger.ends(id).length === 1))
    if (trouble === 'full') {
      await broker.leaves(stuck.length)
      assert.equal((await broker.deadLetters()).length, 1)
      await broker.jsm.streams.update('JOBS_DEAD', { max_msgs: -1 })
    }
    for (const id of stuck) await broker.deadLetter(id)
    await broker.drained()
    for (const id of [...stuck, ...others]) assert.deepEqual(ledger.attempts(id), [1])
    await supervisor.metric('millrace_jobs_in_flight', {}, 0)
    const letters = await broker.deadLetters()
    assert.equal(letters.length, trouble === 'full' ? 4 : 3, 'G9: one record per job')
  })
}
