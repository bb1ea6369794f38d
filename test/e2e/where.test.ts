import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { createClient } from '#src/client/index.js'
import { millrace } from '../support/command-line.ts'
import { eventually } from '../support/eventually.ts'
import { projectRoot } from '../support/supervisor.ts'
import { World } from '../support/world.ts'

test('where a running job is can be asked, and the job goes on', async (t) => {
  const world = await World.create(t, {
    env: {
      MILLRACE_HANDLERS: join(projectRoot, 'build/test/fixtures/handlers/stuck'),
      MILLRACE_DEADLINE_MS: '600000',
      // One waits on its thread, one loops on its own.
      MILLRACE_THREADS: '2',
    },
  })
  const { broker } = world
  const { nc } = broker
  const where = (...args: string[]) => millrace(['where', ...args], { NATS_URL: world.server.url })
  const none = await where('JOBS:1')
  assert.deepEqual(none, { code: 3, stdout: '', stderr: 'no supervisor that answers runs JOBS:1\n' })

  const supervisor = await world.supervise({ MILLRACE_GRACE_MS: '0' })
  const client = await createClient({ environment: {}, servers: world.server.url })
  t.after(() => client.close())
  await broker.enqueue('wait', {}, { id: 'waiting' })
  const begun = (handler: string) =>
    eventually(`${handler} has begun`, () =>
      supervisor.lines.some((line) => line.msg === 'job started' && line['handler'] === handler),
    )
  await begun('wait')
  // Whoever is asked has little time for the answer, and may not get a processor for it.
  await eventually('the one that waits is found waiting', async () => {
    const shown = await where('waiting', '--json')
    assert.equal(shown.code, 0, shown.stderr)
    const [row, ...others] = JSON.parse(shown.stdout) as Record<string, unknown>[]
    assert.equal(others.length, 0)
    const { job_id, handler, state, attempt, abort } = row!
    const expected = { job_id: 'waiting', handler: 'wait', state: 'running', attempt: 1, abort: null }
    assert.deepEqual({ job_id, handler, state, attempt, abort }, expected)
    assert.match(JSON.stringify(row!['where']), /^\{"kind":"waiting","resources":\{.*"TCPSocketWrap":/)
    return true
  })
  await eventually('it is found at its place in the stream, too, although it has an id', async () => {
    return (await client.where('JOBS:1'))[0]?.jobId === 'waiting'
  })

  // Who asks cannot have the answer published just anywhere.
  const stolen: string[] = []
  nc.subscribe('events.jobs.stolen', { callback: (_, message) => void stolen.push(message.string()) })
  nc.publish('asks.jobs.where', 'waiting', { reply: 'events.jobs.stolen' })
  await nc.flush()
  await eventually('who may ask is answered', async () => (await client.where('waiting')).length === 1)
  assert.deepEqual(await client.where('other'), [])
  assert.deepEqual(stolen, [])

  await broker.enqueue('spin', { canary: 'canary_4711' }, { id: 'spinning' })
  await begun('spin')
  await eventually('the one that loops is found looping', async () => {
    const spinning = await where('spinning')
    assert.equal(spinning.code, 0, spinning.stderr)
    assert.match(
      spinning.stdout,
      /^spin spinning, attempt 1 of 5\non supervisor \w+, thread \d+\nfor [\d.]+ s of 600 s\nin addUp \((\S+spin\.ts:\d+:\d+)\)\n {2}at addUp \(\1\)\n {2}at spin \(/,
    )
    return true
  })

  // Both still run, and are stopped as ever.
  assert.ok(!supervisor.lines.some((line) => line.msg === 'thread killed'))
  for (const id of ['spinning', 'waiting']) await client.cancel(id)
  for (const id of ['spinning', 'waiting']) assert.equal((await broker.deadLetter(id)).reason, 'cancelled')
})
