import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import { World } from '../support/world.ts'

test('G1: a broker that is killed and started again under load costs no job', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_ACK_WAIT_MS: '2000', MILLRACE_JOB_LOGS: 'errors' } })
  const { broker, ledger, server } = world
  const supervisor = await world.supervise()
  const jobs = Array.from({ length: 300 }, (_, n) => ({ do: 'sleep', ms: 15, n }))
  const ids = [...(await broker.enqueueAll('act', jobs)), ...(await broker.enqueueAll('io', jobs))]
  const failing = await broker.enqueueAll(
    'email.send',
    Array.from({ length: 40 }, () => ({ do: 'permanent' })),
  )
  await eventually('work is under way', () => ledger.count('end').size >= 100)
  server.kill('SIGKILL')
  await server.ended()
  await server.restart()
  await eventually('every job has ended', () => {
    const ends = ledger.count('end')
    return [...ids, ...failing].every((id) => ends.has(id))
  })
  await eventually('nothing is pending', async () => {
    for (const name of ['act', 'io', 'email_send']) {
      const { num_pending, num_ack_pending } = await broker.jsm.consumers.info('JOBS', name)
      assert.equal(num_pending + num_ack_pending, 0, name)
    }
    return true
  })
  const letters = await broker.deadLetters()
  assert.deepEqual(
    letters.map((letter) => letter.jobId).sort(),
    [...failing].sort(),
    'G9: one record per job',
  )
  await supervisor.ready()
})

test('G2: a job that ends while the broker is down is acknowledged later and does not run again', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_THREADS: '2', MILLRACE_ACK_WAIT_MS: '1000' } })
  const { broker, ledger, server } = world
  const supervisor = await world.supervise()
  const gate = world.gate('now')
  const held = { do: 'hold', gate: gate.path }
  const ids = [
    ...(await broker.enqueueAll('act', [held, held])),
    ...(await broker.enqueueAll('io', [held, held, held])),
  ]
  await eventually('all of them run', () => ids.every((id) => ledger.starts(id).length === 1))

  server.kill('SIGKILL')
  await server.ended()
  await eventually(
    'readiness says that the broker is away',
    async () => (await supervisor.get('/readyz')).status === 503,
  )
  assert.equal((await supervisor.get('/healthz')).status, 200)
  assert.equal((await supervisor.metrics()).sum('millrace_nats_connected'), 0)
  gate.open()
  await eventually('all of them have ended', () => ids.every((id) => ledger.ends(id).length === 1))

  await server.restart()
  await supervisor.ready()
  await broker.drained()
  const metrics = await supervisor.metrics()
  assert.equal(metrics.sum('millrace_nats_connected'), 1)
  assert.ok(metrics.sum('millrace_nats_reconnects_total') >= 1)
  await supervisor.metric('millrace_jobs_settled_total', { verdict: 'ack' }, ids.length)
  const later = await broker.enqueue('act', { do: 'return' })
  await broker.drained()
  assert.equal(ledger.ends(later).length, 1)
  for (const id of ids) assert.equal(ledger.starts(id).length, 1, `${id} ran again`)
})

test('a supervisor that is asked to stop while the broker is down stops', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_DRAIN_MS: '500' } })
  const supervisor = await world.supervise()
  world.server.kill('SIGKILL')
  await world.server.ended()
  await eventually('readiness says so', async () => (await supervisor.get('/readyz')).status === 503)
  assert.deepEqual(await supervisor.stop(), { code: 0, signal: null })
})
