import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import { World } from '../support/world.ts'

test('G1 G2: supervisors on the same durables share the work and run nothing twice', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_JOB_LOGS: 'errors', MILLRACE_THREADS: '1' } })
  const { broker, ledger } = world
  const supervisors = await Promise.all([world.supervise(), world.supervise(), world.supervise()])
  const ids = await broker.enqueueAll(
    'act',
    Array.from({ length: 2_000 }, (_, n) => ({ do: 'sleep', ms: 3, n })),
  )
  await broker.drained()
  const ends = ledger.count('end')
  assert.equal(ends.size, ids.length)
  assert.ok(ids.every((id) => ends.get(id) === 1))
  assert.ok(ledger.lines().every((line) => line.attempt === 1))
  const pids = new Set(ledger.lines().map((line) => line.pid))
  assert.deepEqual([...pids].sort(), supervisors.map((it) => it.pid).sort())
  await eventually('the counters of all supervisors add up', async () => {
    const pages = await Promise.all(supervisors.map((it) => it.metrics()))
    const acked = pages.reduce(
      (sum, page) => sum + page.sum('millrace_jobs_settled_total', { handler: 'act', verdict: 'ack' }),
      0,
    )
    assert.equal(acked, ids.length)
    return true
  })
})

test('two supervisors with different handlers on one stream each do their own', async (t) => {
  const world = await World.create(t)
  const folder = mkdtempSync(join(tmpdir(), 'millrace-e2e-handlers-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  mkdirSync(join(folder, 'only'))
  writeFileSync(
    join(folder, 'only/here.mjs'),
    `import { appendFileSync } from 'node:fs'
     import { defineHandler, PermanentFailure } from 'millrace'
     import { createClient } from 'millrace/client'
     export default defineHandler({
       run: (payload, ctx) => {
         const line = { kind: 'end', id: ctx.job.id, handler: ctx.job.handler, attempt: ctx.job.attempt, pid: process.pid }
         appendFileSync(process.env.E2E_LEDGER, JSON.stringify(line) + '\\n')
         if (typeof createClient !== 'function') throw new Error('no client')
         if (payload.fail) throw new PermanentFailure('said the handler')
       },
     })`,
  )
  const { broker, ledger } = world
  const outside = await world.supervise({ MILLRACE_HANDLERS: folder })
  const inside = await world.supervise()

  await t.test('a handlers folder outside the project can import millrace and its client', async () => {
    const done = await broker.enqueue('only.here', { fail: false })
    const failed = await broker.enqueue('only.here', { fail: true })
    assert.equal((await broker.deadLetter(failed)).reason, 'permanent')
    await broker.drained()
    assert.deepEqual(
      ledger.of(done, 'end').map((line) => line.pid),
      [outside.pid],
    )
  })

  await t.test('jobs go where their handler is', async () => {
    const id = await broker.enqueue('act', { do: 'return' })
    await broker.drained()
    assert.deepEqual(
      ledger.ends(id).map((line) => line.pid),
      [inside.pid],
    )
  })
})

test('a namespace is in every name', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_NAMESPACE: 'billing-2' } })
  await world.supervise()
  const { broker } = world
  const id = await broker.enqueue('act', { do: 'permanent' }, { id: 'invoice-1' })
  const letter = await broker.deadLetter(id)
  assert.equal(letter.subject, 'dead.billing-2.act')
  assert.equal(letter.headers['Millrace-Subject'], 'billing-2.act')
  assert.equal(letter.headers['Millrace-Stream'], 'BILLING-2')
  const streams = (await broker.jsm.streams.list().next()).map((stream) => stream.config.name)
  assert.ok(streams.includes('BILLING-2') && streams.includes('BILLING-2_DEAD'), streams.join())
  assert.ok(!streams.some((name) => name.startsWith('JOBS')), streams.join())
  assert.ok(
    streams.every((name) => !name.startsWith('KV_') || name.startsWith('KV_billing-2_')),
    streams.join(),
  )
})
