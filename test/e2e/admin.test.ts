import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import type { Supervisor } from '../support/supervisor.ts'
import { World } from '../support/world.ts'

const token = 'a-token-of-some-length'

async function post(
  supervisor: Supervisor,
  path: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: { error?: { code: string; message: string } } }> {
  const url = `${await supervisor.url()}${path}`
  const response = await fetch(url, { method: 'POST', headers, signal: AbortSignal.timeout(20_000) })
  return { status: response.status, body: (await response.json()) as { error?: never } }
}

const pausedOn = (supervisor: Supervisor, value: number) =>
  supervisor.metric('millrace_handler_paused', { handler: 'act' }, value)

test('what is asked of one supervisor over HTTP holds for the whole fleet', async (t) => {
  const world = await World.create(t)
  const { broker, ledger } = world
  const [asked, other] = await Promise.all([world.supervise(), world.supervise()])

  assert.deepEqual(await post(asked, '/api/handlers/act/pause'), {
    status: 200,
    body: { handler: 'act', paused: true },
  })
  await Promise.all([pausedOn(asked, 1), pausedOn(other, 1)])
  const jobs = await broker.enqueueAll(
    'act',
    Array.from({ length: 10 }, () => ({ do: 'return' })),
  )
  const io = await broker.enqueue('io', { do: 'return' })
  await eventually('other handlers go on', () => ledger.ends(io).length === 1)
  await asked.stop()
  await broker.leaves(10)
  assert.ok(
    jobs.every((id) => ledger.starts(id).length === 0),
    'the second one does not pull either',
  )

  const unwanted = encodeURIComponent(jobs[0]!)
  assert.equal((await post(other, `/api/jobs/${unwanted}/cancel`)).status, 200)
  assert.equal((await post(other, '/api/handlers/act/resume')).status, 200)
  assert.equal((await broker.deadLetter(jobs[0]!)).reason, 'cancelled')
  await broker.drained()
  assert.deepEqual(
    jobs.map((id) => ledger.ends(id).length),
    jobs.map((_, index) => (index === 0 ? 0 : 1)),
  )

  const unknown = await post(other, '/api/handlers/acts/pause')
  assert.equal(unknown.status, 404)
  assert.match(unknown.body.error!.message, /did you mean act\?/)
  assert.equal((await post(other, '/api/jobs/%0d%0aevil/cancel')).body.error?.code, 'invalid_job')
  const [done] = asked.lines.filter(({ msg }) => msg === 'admin action done')
  assert.deepEqual(
    [done?.['action'], done?.['target'], done?.['remote'], done?.['outcome']],
    ['pause', 'act', '127.0.0.1', 'done'],
  )
  await other.line('admin action refused')
  await other.line('admin action failed')
})

test('with a token in a file, only who sends it changes anything, and no log has it', async (t) => {
  const world = await World.create(t)
  const file = join(world.folder, 'token')
  writeFileSync(file, `${token}\n`)
  const supervisor = await world.supervise({ MILLRACE_HTTP_TOKEN_FILE: file, MILLRACE_HTTP_HOST: '0.0.0.0' })
  const authorization = `Bearer ${token}`

  const without = await post(supervisor, '/api/handlers/act/pause')
  assert.deepEqual([without.status, without.body.error?.code], [401, 'token_required'])
  assert.match(without.body.error!.message, /MILLRACE_HTTP_TOKEN/)
  assert.equal((await post(supervisor, '/api/handlers/act/pause', { authorization: 'Bearer x' })).status, 401)
  assert.equal((await post(supervisor, '/api/handlers/act/pause', { authorization })).status, 200)
  await pausedOn(supervisor, 1)
  assert.equal((await supervisor.get('/readyz')).status, 200)
  await supervisor.stop()
  assert.doesNotMatch(supervisor.output, new RegExp(token))
})

test('an action that the broker cannot hear of is a 503 that says so', async (t) => {
  const world = await World.create(t)
  const supervisor = await world.supervise()
  world.server.kill('SIGKILL')
  await world.server.ended()
  const { status, body } = await post(supervisor, '/api/handlers/act/pause')
  assert.deepEqual([status, body.error?.code], [503, 'broker_unreachable'])
  await world.server.restart()
  await eventually(
    'it is heard again',
    async () => (await post(supervisor, '/api/handlers/act/pause')).status === 200,
  )
  await pausedOn(supervisor, 1)
})
