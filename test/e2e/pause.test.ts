import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Kvm } from '@nats-io/kv'
import { cancelledKey } from '#src/core/control-keys.js'
import { eventually } from '../support/eventually.ts'
import { unlessServer } from '../support/nats-server.ts'
import type { Supervisor } from '../support/supervisor.ts'
import { World } from '../support/world.ts'

/** The control bucket as an operator writes to it. */
const controlOf = (world: World) => new Kvm(world.broker.nc).open('jobs_control')

const pausedOn = (supervisor: Supervisor, handler: string, value: number) =>
  supervisor.metric('millrace_handler_paused', { handler }, value)

/** How often each supervisor has said so. */
function count(supervisor: Supervisor, message: string): number {
  return supervisor.lines.filter((line) => line.msg === message && line['handler'] === 'act').length
}

test('a pause reaches every supervisor at once, and costs no job and no attempt', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_MAX_ATTEMPTS: '2' } })
  const { broker, ledger, server } = world
  const fleet = await Promise.all([world.supervise(), world.supervise(), world.supervise()])
  const control = await controlOf(world)
  const gate = world.gate('go')
  const blockers = await broker.enqueueAll(
    'act',
    Array.from({ length: 6 }, () => ({ do: 'hold', gate: gate.path })),
  )
  await eventually('all threads are busy', () => blockers.every((id) => ledger.starts(id).length === 1))
  // These are in the hands of supervisors, and have not begun.
  const waiting = await broker.enqueueAll(
    'act',
    Array.from({ length: 40 }, () => ({ do: 'return' })),
  )

  await t.test('within two seconds, and what runs goes on', async () => {
    const pausedAt = performance.now()
    await control.put('paused.act', '{}')
    await eventually('all have said so', () => fleet.every((one) => count(one, 'handler paused') === 1))
    const tookMs = performance.now() - pausedAt
    t.diagnostic(`three supervisors knew of the pause after ${Math.round(tookMs)} ms`)
    assert.ok(tookMs < 15_000, `it took ${tookMs} ms`)
    for (const one of fleet) {
      await pausedOn(one, 'act', 1)
      await pausedOn(one, 'io', 0)
      assert.equal((await one.get('/readyz')).status, 200)
    }
    gate.open()
    await eventually('what ran has ended', () => blockers.every((id) => ledger.ends(id).length === 1))
    const io = await broker.enqueue('io', { do: 'return' })
    await eventually('other handlers go on', () => ledger.ends(io).length === 1)
    await broker.leaves(40)
    assert.ok(waiting.every((id) => ledger.starts(id).length === 0))
  })

  await t.test('it outlives supervisors and the broker', async () => {
    await fleet[0]!.kill()
    await fleet[1]!.stop()
    server.kill('SIGKILL')
    await server.ended()
    await server.restart()
    fleet.splice(0, 2, await world.supervise())
    await eventually(
      'the last one is there again',
      async () => (await fleet[1]!.get('/readyz')).status === 200,
    )
    await Promise.all(fleet.map((one) => pausedOn(one, 'act', 1)))
    const io = await broker.enqueue('io', { do: 'return' })
    await eventually('other handlers go on', () => ledger.ends(io).length === 1)
    assert.ok(waiting.every((id) => ledger.starts(id).length === 0))
  })

  await t.test('resumed, everything runs once and as its first attempt', async () => {
    const resumedAt = performance.now()
    await control.delete('paused.act')
    await eventually('a job has begun', () => waiting.some((id) => ledger.starts(id).length > 0))
    const tookMs = performance.now() - resumedAt
    t.diagnostic(`the first job began ${Math.round(tookMs)} ms after the resume`)
    assert.ok(tookMs < 15_000, `it took ${tookMs} ms`)
    // The stream is not asked: nats-server 2.9 shows acked messages again after a SIGKILL.
    await eventually('all have ended', () => waiting.every((id) => ledger.ends(id).length > 0))
    for (const id of waiting) assert.deepEqual(ledger.attempts(id), [1], id)
    for (const one of fleet) await pausedOn(one, 'act', 0)
    assert.deepEqual(await broker.deadLetters(), [])
  })
})

test('pauses, resumes and cancels under load: every job ends once, and none is charged', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_MAX_ATTEMPTS: '1', MILLRACE_JOB_LOGS: 'errors' } })
  const { broker, ledger } = world
  const fleet = await Promise.all([world.supervise(), world.supervise()])
  const control = await controlOf(world)
  const jobs = Array.from({ length: 250 }, (_, n) => ({ do: 'sleep', ms: 10, n }))
  const ids = [...(await broker.enqueueAll('act', jobs)), ...(await broker.enqueueAll('io', jobs))]
  const cancelled = ids.filter((_, n) => n % 9 === 0)
  const unsaid = [...cancelled].reverse()
  for (let round = 0; round < 12; round += 1) {
    for (const handler of ['act', 'io']) await control.put(`paused.${handler}`, '{}')
    for (const id of unsaid.splice(0, 5)) await control.put(cancelledKey(id), '')
    for (const handler of ['act', 'io']) await control.delete(`paused.${handler}`)
    for (const id of unsaid.splice(0, 5)) await control.put(cancelledKey(id), '')
    const endsSoFar = ledger.count('end').size
    await eventually('something goes on', () => ledger.count('end').size > endsSoFar || unsaid.length === 0)
  }
  await broker.drained()
  const letters = await broker.deadLetters()
  const dead = new Set(letters.map((letter) => letter.jobId))
  assert.equal(dead.size, letters.length, 'one record per job')
  for (const { jobId, reason } of letters) {
    assert.equal(reason, 'cancelled')
    assert.ok(cancelled.includes(jobId), jobId)
  }
  for (const id of ids) {
    assert.ok(ledger.starts(id).length <= 1, `${id} ran more than once`)
    assert.equal(ledger.ends(id).length === 1 || dead.has(id), true, `${id} has no end`)
  }
  let settled = 0
  for (const one of fleet) {
    const metrics = await one.metrics()
    settled += metrics.sum('millrace_jobs_settled_total', { verdict: 'ack' })
    settled += metrics.sum('millrace_jobs_settled_total', { verdict: 'dead_letter' })
  }
  assert.equal(settled, ids.length)
})

test('the server pauses the consumer, too', { skip: unlessServer('2.11.0') }, async (t) => {
  const world = await World.create(t)
  const { broker, ledger } = world
  const fleet = await Promise.all([world.supervise(), world.supervise({ MILLRACE_MANAGE: 'false' })])
  const control = await controlOf(world)
  const info = (name = 'act') => broker.jsm.consumers.info('JOBS', name)
  // Somebody has their own reasons.
  await broker.jsm.consumers.pause('JOBS', 'io', new Date(Date.now() + 3_600_000))
  await control.put('paused.act', '')
  await eventually('the consumer is paused', async () => (await info()).paused)
  const id = await broker.enqueue('act', { do: 'return' })
  await control.delete('paused.act')
  await eventually('the job has run', () => ledger.ends(id).length === 1)
  assert.ok(!(await info()).paused)

  await t.test('a pause that was lifted while no supervisor ran is lifted at the next start', async () => {
    await control.put('paused.act', '')
    await eventually('the consumer is paused', async () => (await info()).paused)
    for (const one of fleet) await one.stop()
    await control.delete('paused.act')
    const late = await broker.enqueue('act', { do: 'return' })
    await world.supervise({ MILLRACE_MANAGE: 'false' })
    await eventually('the job has run', () => ledger.ends(late).length === 1)
    assert.ok(!(await info()).paused)
    assert.ok((await info('io')).paused, 'what somebody else has paused is left alone')
  })
})
