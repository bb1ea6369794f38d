import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import { startTestServer } from '../support/nats-server.ts'
import { Supervisor } from '../support/supervisor.ts'
import { soundHandlers, World } from '../support/world.ts'

const nobody = 'nats://127.0.0.1:1'

function run(t: TestContext, env: Record<string, string>, args: string[] = []): Supervisor {
  const usual = { NATS_URL: nobody, MILLRACE_HTTP_PORT: '0', MILLRACE_HANDLERS: soundHandlers }
  const supervisor = new Supervisor({ ...usual, ...env }, args)
  t.after(() => supervisor.kill())
  return supervisor
}

async function exitCode(supervisor: Supervisor): Promise<number | null> {
  return (await supervisor.ended(30_000)).code
}

test('wrong settings end the start with 78 and every problem at once', async (t) => {
  const supervisor = run(t, {
    MILLRACE_THREADS: 'many',
    MILLRACE_ACK_WAIT_MS: '999',
    MILLRACE_DEADLINE_MS: '9',
    MILLRACE_GRACE_MS: '-1',
    MILLRACE_NAMESPACE: 'Bad_Name',
    MILLRACE_THREAD_MEMORY_MB: '31',
    MILLRACE_STORAGE: 'paper',
    MILLRACE_JOB_LOGS: 'some',
    MILLRACE_MANAGE: 'perhaps',
    MILLRACE_LOG_LEVEL: 'loud',
    MILLRACE_HTTP_PORT: '70000',
    MILLRACE_DRAINMS: '5',
    MILLRACE_MAX_ATEMPTS: '3',
  })
  assert.equal(await exitCode(supervisor), 78)
  for (const name of [
    'MILLRACE_THREADS',
    'MILLRACE_ACK_WAIT_MS',
    'MILLRACE_DEADLINE_MS',
    'MILLRACE_GRACE_MS',
    'MILLRACE_NAMESPACE',
    'MILLRACE_THREAD_MEMORY_MB',
    'MILLRACE_STORAGE',
    'MILLRACE_JOB_LOGS',
    'MILLRACE_MANAGE',
    'MILLRACE_LOG_LEVEL',
    'MILLRACE_HTTP_PORT',
    'MILLRACE_DRAINMS',
    'MILLRACE_MAX_ATEMPTS',
    // The nearest names that exist.
    'MILLRACE_DRAIN_MS',
    'MILLRACE_MAX_ATTEMPTS',
  ]) {
    assert.ok(supervisor.output.includes(name), `${name} is not in ${supervisor.output}`)
  }
  assert.doesNotMatch(supervisor.output, /\n {4}at /, 'a stack is no help here')
})

test('a handlers folder that is not there or holds no handler is wrong configuration', async (t) => {
  const empty = mkdtempSync(join(tmpdir(), 'millrace-e2e-empty-'))
  t.after(() => rmSync(empty, { recursive: true, force: true }))
  for (const folder of [join(empty, 'not-there'), empty]) {
    const supervisor = run(t, { MILLRACE_HANDLERS: folder })
    assert.equal(await exitCode(supervisor), 78)
    assert.ok(supervisor.output.includes(folder), supervisor.output)
  }
})

test('the smallest accepted values are accepted', async (t) => {
  const world = await World.create(t)
  const supervisor = await world.supervise({
    MILLRACE_ACK_WAIT_MS: '1000',
    MILLRACE_STARTUP_MS: '0',
    MILLRACE_DRAIN_MS: '0',
    MILLRACE_DEADLINE_MS: '10',
    MILLRACE_GRACE_MS: '0',
    MILLRACE_BACKOFF_BASE_MS: '0',
    MILLRACE_BACKOFF_MAX_MS: '0',
    MILLRACE_THREAD_MEMORY_MB: '32',
    MILLRACE_NATS_SERVER: '/not/there',
  })
  assert.deepEqual(await supervisor.stop(), { code: 0, signal: null })
})

test('a broker that cannot be reached ends the start with 69 after MILLRACE_STARTUP_MS', async (t) => {
  const supervisor = run(t, { MILLRACE_STARTUP_MS: '500' })
  assert.equal(await exitCode(supervisor), 69)
  assert.ok(supervisor.output.includes('127.0.0.1:1'), supervisor.output)
})

test('a broker without JetStream is explained', async (t) => {
  const server = await startTestServer(t, {
    config: `accounts { PLAIN { users [{ user: u, password: p }] } }\nno_auth_user: u\n`,
  })
  const supervisor = run(t, { NATS_URL: server.url, MILLRACE_STARTUP_MS: '1000' })
  assert.ok([69, 78].includes((await exitCode(supervisor)) ?? -1), String(supervisor.exit?.code))
  assert.match(supervisor.output, /JetStream/i)
})

test('refused credentials end the start with 77 and are not printed', async (t) => {
  const server = await startTestServer(t, {
    config: 'authorization { user: right, password: secret-right }\n',
  })
  const wrong = run(t, {
    NATS_URL: server.url,
    NATS_USER: 'right',
    NATS_PASSWORD: 'secret-wrong',
    MILLRACE_STARTUP_MS: '2000',
  })
  assert.equal(await exitCode(wrong), 77)
  assert.doesNotMatch(wrong.output, /secret-wrong/)
  const right = run(t, { NATS_URL: server.url, NATS_USER: 'right', NATS_PASSWORD: 'secret-right' })
  await right.ready()
  assert.deepEqual(await right.stop(), { code: 0, signal: null })
})

test('an argument that it does not know ends the start with 64', async (t) => {
  assert.equal(await exitCode(run(t, {}, ['--no-such-flag'])), 64)
})

test('health never depends on the broker, readiness does', async (t) => {
  const supervisor = run(t, { MILLRACE_STARTUP_MS: '120000' })
  assert.match(await supervisor.url(), /^http:\/\/127\.0\.0\.1:\d+$/)
  assert.equal((await supervisor.get('/healthz')).status, 200)
  const { status, body } = await supervisor.get('/readyz')
  assert.equal(status, 503)
  assert.equal(typeof JSON.parse(body), 'object')
  assert.equal((await supervisor.get('/metrics')).status, 200)
})

test('a broker that comes up during the start is used', async (t) => {
  const server = await startTestServer(t)
  const { url } = server
  server.kill('SIGKILL')
  await server.ended()
  const supervisor = run(t, { NATS_URL: `${nobody},${url}`, MILLRACE_STARTUP_MS: '120000' })
  await supervisor.url()
  await server.restart()
  await supervisor.ready()
  assert.deepEqual(await supervisor.stop(), { code: 0, signal: null })
})

test('without HTTP nothing listens and jobs are done', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_HTTP_PORT: 'off' } })
  const supervisor = world.spawn()
  const id = await eventually('a job can be enqueued', () => world.broker.enqueue('act', { do: 'return' }))
  await eventually('it is done', () => world.ledger.ends(id).length === 1)
  assert.deepEqual(await supervisor.stop(), { code: 0, signal: null })
  assert.ok(supervisor.lines.every((line) => line.msg !== 'listening'))
})
