import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import { brokenHandlers, World } from '../support/world.ts'

const broken = [
  'import-error',
  'throws-at-import',
  'wrong-export',
  'misspelt-field',
  'wrong-cron',
  'exits-at-import',
]

test('a handler that cannot be used is not pulled, and the others work', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_HANDLERS: brokenHandlers } })
  const { broker, ledger } = world
  const supervisor = world.spawn()

  await t.test('readiness names every one of them', async () => {
    await eventually('/readyz names the broken handlers', async () => {
      const { status, body } = await supervisor.get('/readyz')
      assert.equal(status, 503, body)
      const { reasons } = JSON.parse(body) as { reasons: string[] }
      const named = reasons.map((reason) => reason.match(/^handler ([^:]+): /)?.[1])
      // Nothing else: while it is starting, there need not be a stream yet.
      assert.deepEqual(named.sort(), broken.toSorted(), body)
      return true
    })
    assert.equal((await supervisor.get('/healthz')).status, 200)
  })

  await t.test('G1: its jobs wait unharmed while the others are done', async () => {
    const waiting: string[] = []
    for (const name of broken) waiting.push(await broker.enqueue(name, { do: 'return' }))
    const ids = await broker.enqueueAll(
      'good',
      Array.from({ length: 20 }, () => ({ do: 'return' })),
    )
    await supervisor.metric('millrace_jobs_settled_total', { handler: 'good', verdict: 'ack' }, ids.length)
    await broker.leaves(broken.length)
    assert.deepEqual(await broker.deadLetters(), [])
    for (const id of waiting) assert.equal(ledger.of(id).length, 0)
    const metrics = await supervisor.metrics()
    for (const handler of broken) assert.equal(metrics.sum('millrace_attempts_total', { handler }), 0)
  })

  await t.test('G8: it still stops cleanly', async () => {
    assert.deepEqual(await supervisor.stop(), { code: 0, signal: null })
  })
})

test('G1: jobs of a handler that nobody has wait and are shown as unclaimed', async (t) => {
  const world = await World.create(t)
  const supervisor = await world.supervise()
  const { broker, ledger } = world
  const ids = await broker.enqueueAll('not.there.yet', [{ n: 1 }, { n: 2 }, { n: 3 }])
  await broker.enqueue('act', { do: 'return' })
  await supervisor.metric('millrace_jobs_settled_total', { handler: 'act', verdict: 'ack' }, 1)
  await supervisor.metric('millrace_unclaimed_jobs', {}, 3)
  await broker.leaves(3)
  assert.equal((await supervisor.metrics()).sum('millrace_stranded_jobs'), 0)
  for (const id of ids) assert.equal(ledger.of(id).length, 0)
  assert.deepEqual(await broker.deadLetters(), [])
})
