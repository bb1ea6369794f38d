import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import type { LedgerLine } from '../support/ledger.ts'
import { World } from '../support/world.ts'

const sleeps = (count: number, ms: number) =>
  Array.from({ length: count }, (_, n) => ({ do: 'sleep', ms, n }))
const streamOf = (line: LedgerLine): string => line.id.split(':', 1)[0]!

test('a high job overtakes a long backlog, whatever it is that came before it', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_JOB_LOGS: 'errors' } })
  const { broker, ledger } = world
  await world.supervise()
  // Without priorities the high jobs would start after 50 s.
  await broker.enqueueAll('act', sleeps(5_000, 20))
  await eventually('the backlog is worked on', () => ledger.count('end').size > 20)
  const startsBefore = ledger.count('start').size
  const first = await broker.enqueue('act', { do: 'see' }, { priority: 'high' })
  await eventually('the first one has ended', () => ledger.ends(first).length === 1)
  const passed = ledger.count('start').size - startsBefore
  assert.ok(passed < 500, `${passed} of 5000 jobs went before it`)
  assert.equal(ledger.of(first, 'seen')[0]!['subject'], 'high.jobs.act')
  assert.equal(first, 'JOBS_HIGH:1')

  const more = await broker.enqueueAll('act', sleeps(20, 1), { priority: 'high' })
  await eventually('the next ones have ended', () => more.every((id) => ledger.ends(id).length === 1))
  assert.ok((await broker.jobsLeft()) > 3_000)
})

test('low jobs mostly yield to normal ones and get their share all the same', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_JOB_LOGS: 'errors', MILLRACE_THREADS: '1' } })
  const { broker, ledger } = world
  // The streams are made by the first supervisor; what is published while there is none is found by the next.
  assert.equal((await (await world.supervise()).stop()).code, 0)
  await broker.enqueueAll('act', sleeps(120, 4), { priority: 'low' })
  await broker.enqueueAll('act', sleeps(400, 4))
  await world.supervise()
  await broker.drained(90_000)
  await broker.streamLeaves('JOBS_LOW', 0, 90_000)
  const starts = ledger.lines().filter((line) => line.kind === 'start')
  assert.equal(starts.length, 520)
  const isLow = (line: LedgerLine) => streamOf(line) === 'JOBS_LOW'
  const first = starts.findIndex(isLow)
  const lastNormal = starts.findLastIndex((line) => !isLow(line))
  const together = starts.slice(first, lastNormal + 1)
  assert.ok(together.length >= 350, `both waited during ${together.length} jobs`)
  const ratio = together.filter(isLow).length / together.length
  assert.ok(ratio > 0.07 && ratio < 0.2, `${ratio} of the jobs were low`)
})

test('a low job does not wait for ever, and what nobody listened for is found', async (t) => {
  const world = await World.create(t)
  const { broker, ledger } = world
  const first = await world.supervise()
  assert.equal((await first.stop()).code, 0)
  const ids = [
    await broker.enqueue('io', { do: 'see' }, { priority: 'low' }),
    await broker.enqueue('io', { do: 'see' }, { priority: 'high', id: 'mine' }),
    await broker.enqueue('email.send', { do: 'return' }, { priority: 'high' }),
  ]
  assert.deepEqual(ids, ['JOBS_LOW:1', 'mine', 'JOBS_HIGH:2'])
  const supervisor = await world.supervise()
  await eventually('all have ended', () => ids.every((id) => ledger.ends(id).length === 1))
  assert.equal(ledger.of(ids[0]!, 'seen')[0]!['subject'], 'low.jobs.io')
  await supervisor.metric('millrace_queue_pending', { handler: 'io' }, 0)
  await supervisor.metric('millrace_unclaimed_jobs', {}, 0)
  const consumers = await broker.jsm.consumers.list('JOBS_HIGH').next()
  assert.deepEqual(consumers.map((consumer) => consumer.name).sort(), ['email_send', 'io'])
})

test('a supervisor that may not listen finds the jobs all the same, and complains once for each priority', async (t) => {
  const world = await World.create(t, {
    serverConfig: `
      authorization { users: [
        { user: test, password: test }
        { user: deaf, password: deaf, permissions: { subscribe: { deny: ["high.jobs.>", "low.jobs.>"] } } }
      ] }
      no_auth_user: test`,
    env: { NATS_USER: 'deaf', NATS_PASSWORD: 'deaf' },
  })
  const { broker, ledger } = world
  const supervisor = await world.supervise()
  const complaints = () => supervisor.lines.filter((line) => line.msg === 'NATS error')
  await eventually('it has tried to listen', () => complaints().length === 2)
  const id = await broker.enqueue('act', { do: 'return' }, { priority: 'high' })
  await eventually('it runs', () => ledger.ends(id).length === 1)
  assert.equal(complaints().length, 2)
})

test('high jobs are retried, given up on and counted like others, beside normal ones of the same sequence', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_MAX_ATTEMPTS: '3' } })
  const { broker, ledger } = world
  const supervisor = await world.supervise()
  const normal = await broker.enqueue('act', { do: 'throw' })
  const high = await broker.enqueue('act', { do: 'throw' }, { priority: 'high' })
  assert.deepEqual([normal, high], ['JOBS:1', 'JOBS_HIGH:1'])
  for (const id of [normal, high]) {
    const letter = await broker.deadLetter(id)
    assert.equal(letter.subject, 'dead.jobs.act')
    assert.equal(letter.reason, 'exhausted')
    assert.equal(letter.history.length, 3)
    assert.deepEqual(ledger.attempts(id), [1, 2, 3])
  }
  const letter = await broker.deadLetter(high)
  assert.equal(letter.headers['Millrace-Subject'], 'high.jobs.act')
  assert.equal(letter.headers['Millrace-Stream'], 'JOBS_HIGH')
  assert.equal(letter.headers['Nats-Msg-Id'], 'dead:JOBS_HIGH:1')
  assert.equal((await broker.deadLetters()).length, 2)
  await broker.streamLeaves('JOBS_HIGH', 0)
  await broker.drained()
  await supervisor.metric('millrace_jobs_settled_total', { handler: 'act', verdict: 'dead_letter' }, 2)
})

test('G1 G2: high and low jobs of a supervisor that was killed are done by another one', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_ACK_WAIT_MS: '1500', MILLRACE_THREADS: '1' } })
  const { broker, ledger } = world
  const [first, second] = [await world.supervise(), await world.supervise()]
  const ids = [
    ...(await broker.enqueueAll('act', sleeps(100, 10), { priority: 'high' })),
    ...(await broker.enqueueAll('act', sleeps(100, 10), { priority: 'low' })),
    ...(await broker.enqueueAll('act', sleeps(100, 10))),
  ]
  await eventually('both are at work', () => new Set(ledger.lines().map((line) => line.pid)).size === 2)
  await first.kill()
  const endedBefore = new Set(ledger.count('end').keys())
  for (const stream of ['JOBS', 'JOBS_HIGH', 'JOBS_LOW']) await broker.streamLeaves(stream, 0)
  const ends = ledger.count('end')
  for (const id of ids) assert.ok((ends.get(id) ?? 0) >= 1, `${id} never ended`)
  const repeated = ids.filter((id) => ends.get(id)! > 1)
  assert.ok(
    repeated.every((id) => endedBefore.has(id)),
    `repeated: ${repeated}`,
  )
  assert.deepEqual(await broker.deadLetters(), [])
  assert.equal(second.exit, undefined)
})

test('G1: a broker that is killed, and a stream that is deleted, cost high jobs nothing', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_ACK_WAIT_MS: '2000', MILLRACE_JOB_LOGS: 'errors' } })
  const { broker, ledger, server } = world
  const supervisor = await world.supervise()
  const ids = [
    ...(await broker.enqueueAll('act', sleeps(100, 15), { priority: 'high' })),
    ...(await broker.enqueueAll('io', sleeps(100, 15), { priority: 'low' })),
  ]
  await eventually('work is under way', () => ledger.count('end').size >= 50)
  server.kill('SIGKILL')
  await server.ended()
  await server.restart()
  await eventually('every job has ended', () => ids.every((id) => ledger.ends(id).length >= 1))
  await supervisor.ready()
  await eventually('nothing is pending', async () => {
    for (const [stream, name] of [
      ['JOBS_HIGH', 'act'],
      ['JOBS_LOW', 'io'],
    ] as const) {
      const { num_pending, num_ack_pending } = await broker.jsm.consumers.info(stream, name)
      assert.equal(num_pending + num_ack_pending, 0, stream)
    }
    return true
  })

  await broker.jsm.streams.delete('JOBS_HIGH')
  await eventually('the stream is back', () => broker.jsm.streams.info('JOBS_HIGH'))
  const again = await eventually('a job can be enqueued', () =>
    broker.enqueue('act', { do: 'permanent' }, { priority: 'high' }),
  )
  assert.equal(again, 'JOBS_HIGH:1')
  assert.equal((await broker.deadLetter(again)).reason, 'permanent')
})

test('a supervisor that must not manage names a consumer for high jobs only when there are some', async (t) => {
  const world = await World.create(t)
  const { broker, ledger } = world
  assert.equal((await (await world.supervise()).stop()).code, 0)
  await broker.jsm.streams.delete('JOBS_LOW')
  const bound = await world.supervise({ MILLRACE_MANAGE: 'false' })
  const id = await broker.enqueue('act', { do: 'return' }, { priority: 'high' })
  await eventually('/readyz names what is missing', async () => {
    const { status, body } = await bound.get('/readyz')
    assert.equal(status, 503)
    assert.ok(body.includes('consumer JOBS_HIGH/act'), body)
    assert.ok(!body.includes('LOW'), body)
    return true
  })
  await broker.jsm.consumers.add('JOBS_HIGH', {
    ...(await broker.jsm.consumers.info('JOBS', 'act')).config,
    filter_subject: 'high.jobs.act',
  })
  await bound.ready()
  await eventually('it runs', () => ledger.ends(id).length === 1)
})
