import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Client, createClient } from '#src/client/index.js'
import { eventually } from '../support/eventually.ts'
import { projectRoot } from '../support/supervisor.ts'
import { World } from '../support/world.ts'

const handlers = join(projectRoot, 'test/fixtures/handlers/results')

async function createWorld(
  t: TestContext,
  env: Record<string, string> = {},
): Promise<{ world: World; client: Client }> {
  const world = await World.create(t, { env: { MILLRACE_HANDLERS: handlers, ...env } })
  const client = await createClient({ servers: world.server.url, environment: {} })
  t.after(() => client.close())
  return { world, client }
}

test('what a handler with result: true returns is kept under the id of its job', async (t) => {
  const { world, client } = await createWorld(t)
  await world.supervise()
  const value = { text: 'ü', nested: [1, null, { a: true }] }
  for (const handler of ['answer', 'answer-io']) {
    const { id } = await client.enqueue(handler, { do: 'return-value', value })
    const outcome = await client.waitFor(id)
    assert.deepEqual(outcome, {
      kind: 'completed',
      jobId: id,
      handler,
      attempts: 1,
      at: outcome.at,
      result: value,
      error: undefined,
    })
    assert.ok(Math.abs(outcome.at.getTime() - Date.now()) < 60_000)
    assert.deepEqual(await client.outcome(id), outcome, 'it is there for whoever comes later')
  }
  const raw = await world.broker.enqueue('answer', { do: 'return-value', value: 7 })
  assert.match(raw, /^JOBS:\d+$/)
  const unnamed = await client.waitFor(raw)
  assert.equal(unnamed.kind === 'completed' && unnamed.result, 7, 'a job without an id has one all the same')
  const { id } = await client.enqueue('answer', { do: 'return-nothing' })
  const outcome = await client.waitFor(id)
  assert.equal(outcome.kind, 'completed')
  assert.equal('result' in outcome && outcome.result, undefined)
  await world.broker.drained()
})

test('an id that is too long for a key costs its job the result, and nobody the connection', async (t) => {
  const { world } = await createWorld(t)
  const supervisor = await world.supervise()
  // Every byte of it takes up three in a key, and that subject would be longer than a server reads.
  const id = await world.broker.enqueue('answer', { do: 'return-value', value: 7 }, { id: 'é'.repeat(1_000) })
  const lost = await supervisor.line('result lost')
  assert.equal(lost['job_id'], id)
  assert.equal((lost['err'] as { code: string }).code, 'invalid_job')
  await world.broker.drained()
  assert.equal((await supervisor.metrics()).sum('millrace_nats_reconnects_total'), 0)
})

test('a result that is too large or no JSON is left out and said so, and its job completes', async (t) => {
  const { world, client } = await createWorld(t, { MILLRACE_RESULT_MAX_BYTES: '1000' })
  const supervisor = await world.supervise()
  const cases = [
    [{ do: 'return-large', bytes: 2_000 }, 'result_too_large'],
    [{ do: 'return-function' }, 'result_not_json'],
    [{ do: 'return-cycle' }, 'result_not_json'],
  ] as const
  for (const [payload, code] of cases) {
    const { id } = await client.enqueue('answer', payload)
    const outcome = await client.waitFor(id)
    assert.equal(outcome.kind, 'completed')
    assert.equal(outcome.error?.code, code)
    assert.equal('result' in outcome && outcome.result, undefined)
    const line = await supervisor.line(({ msg, job_id }) => msg === 'result cannot be kept' && job_id === id)
    assert.equal((line['err'] as { code: string }).code, code)
    assert.equal(world.ledger.starts(id).length, 1)
  }
  const { id } = await client.enqueue('answer', { do: 'return-large', bytes: 998 })
  const fits = await client.waitFor<string>(id)
  assert.equal(fits.kind === 'completed' && fits.result?.length, 998, 'the quotes fit, too')
  await world.broker.drained()
  assert.ok(!supervisor.output.includes('in the value') && !supervisor.output.includes('xxxxx'))
})

test('a job that is given up on has a dead outcome, also when it never ran', async (t) => {
  const { world, client } = await createWorld(t)
  await world.supervise()
  const failed = await client.enqueue('answer', { do: 'permanent' })
  const outcome = await client.waitFor(failed.id)
  assert.equal(outcome.kind, 'dead')
  assert.equal(outcome.kind === 'dead' && outcome.reason, 'permanent')
  assert.equal(outcome.attempts, 1)
  assert.deepEqual(outcome.error, { code: 'permanent_failure', message: 'never works' })
  assert.ok((await world.broker.deadLetters()).some((letter) => letter.jobId === failed.id))
  const expired = await client.enqueue('answer', {}, { expiresAt: new Date(Date.now() - 1_000) })
  const late = await client.waitFor(expired.id)
  assert.equal(late.kind === 'dead' && late.reason, 'expired')
  assert.equal(late.attempts, 0)
})

test('nothing is kept of other handlers, and no bucket is made for them', async (t) => {
  const world = await World.create(t)
  const client = await createClient({ servers: world.server.url, environment: {} })
  t.after(() => client.close())
  await world.supervise()
  const { id } = await client.enqueue('act', { do: 'return' })
  await world.broker.drained()
  assert.equal(await client.outcome(id), undefined)
  await assert.rejects(client.waitFor(id, { timeoutMs: 100 }), { code: 'wait_timeout' })
  await assert.rejects(world.broker.jsm.streams.info('KV_jobs_results'), /stream not found/)
})

test('results expire, and the bucket follows the setting', async (t) => {
  const { world, client } = await createWorld(t)
  const first = await world.supervise({ MILLRACE_RESULT_TTL_MS: '3600000' })
  const bucket = async () => (await world.broker.jsm.streams.info('KV_jobs_results')).config
  assert.equal((await bucket()).max_age, 3_600_000 * 1e6)
  await first.stop()
  await world.supervise({ MILLRACE_RESULT_TTL_MS: '1000' })
  assert.equal((await bucket()).max_age, 1_000 * 1e6)
  const { id } = await client.enqueue('answer', { do: 'return' })
  assert.equal((await client.waitFor(id)).kind, 'completed')
  await eventually('the outcome is gone', async () => (await client.outcome(id)) === undefined)
})

test('with MILLRACE_MANAGE=false the missing bucket is reported', async (t) => {
  const { world } = await createWorld(t)
  await (await world.supervise()).stop()
  await world.broker.jsm.streams.delete('KV_jobs_results')
  const supervisor = world.spawn({ MILLRACE_MANAGE: 'false' })
  await eventually('readiness names it', async () => {
    const { status, body } = await supervisor.get('/readyz')
    return status === 503 && body.includes('missing bucket jobs_results')
  })
})

test('waiting begins before the job does and goes on through a restart of the broker', async (t) => {
  const { world, client } = await createWorld(t, { MILLRACE_ACK_WAIT_MS: '2000' })
  await world.supervise()
  const gate = world.gate('go')
  const held = { do: 'hold-and-return', gate: gate.path, value: 'at last' }
  const jobs = await Promise.all([client.enqueue('answer', held), client.enqueue('answer-io', held)])
  const waiting = jobs.map(({ id }) => client.waitFor(id, { timeoutMs: 90_000 }))
  await eventually('both run', () => jobs.every(({ id }) => world.ledger.starts(id).length === 1))
  world.server.kill('SIGKILL')
  await world.server.ended()
  gate.open()
  await eventually('both have ended', () => jobs.every(({ id }) => world.ledger.ends(id).length === 1))
  await world.server.restart()
  for (const outcome of await Promise.all(waiting)) {
    assert.equal(outcome.kind === 'completed' && outcome.result, 'at last')
  }
  await world.broker.drained()
  for (const { id } of jobs)
    assert.equal(world.ledger.starts(id).length, 1, 'a result never costs a second run')
})

test('a job completes with its result although the supervisor is killed again and again', async (t) => {
  const { world, client } = await createWorld(t, {
    MILLRACE_ACK_WAIT_MS: '1000',
    MILLRACE_MAX_ATTEMPTS: '20',
  })
  const jobs = await (async () => {
    await (await world.supervise()).stop()
    const payloads = Array.from({ length: 60 }, (_, n) => ({ do: 'return-value', value: n }))
    return Promise.all(payloads.map((payload) => client.enqueue('answer', payload)))
  })()
  for (const share of [10, 30]) {
    const supervisor = await world.supervise()
    await eventually(`${share} have ended`, () => world.ledger.count('end').size >= share)
    await supervisor.kill()
  }
  await world.supervise()
  await world.broker.drained(60_000)
  for (const [n, { id }] of jobs.entries()) {
    const outcome = await client.outcome(id)
    assert.equal(
      outcome?.kind === 'completed' && outcome.result,
      n,
      `job ${n} left its stream without a result`,
    )
  }
})

test('a bucket that refuses delays its jobs for a while, and never runs them again', async (t) => {
  const { world, client } = await createWorld(t, { MILLRACE_MANAGE: 'false', MILLRACE_THREADS: '1' })
  await (await world.supervise({ MILLRACE_MANAGE: 'true' })).stop()
  await world.supervise()
  await world.broker.jsm.streams.delete('KV_jobs_results')
  const { id } = await client.enqueue('answer', { do: 'return-value', value: 1 })
  await eventually('it has ended', () => world.ledger.ends(id).length === 1)
  const next = await client.enqueue('silent', { do: 'return' })
  await eventually('its slot is free', () => world.ledger.ends(next.id).length === 1)
  await world.broker.jsm.streams.add({
    name: 'KV_jobs_results',
    subjects: ['$KV.jobs_results.>'],
    max_msgs_per_subject: 1,
  })
  const outcome = await client.waitFor(id)
  assert.equal(outcome.kind === 'completed' && outcome.result, 1)
  await world.broker.drained()
  assert.equal(world.ledger.starts(id).length, 1)
})
