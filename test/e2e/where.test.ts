import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { millrace } from '../support/command-line.ts'
import { eventually } from '../support/eventually.ts'
import { projectRoot } from '../support/supervisor.ts'
import { World } from '../support/world.ts'

test('where a running job is can be asked, and the job goes on', async (t) => {
  const world = await World.create(t, {
    env: {
      MILLRACE_HANDLERS: join(projectRoot, 'build/test/fixtures/handlers/stuck'),
      MILLRACE_DEADLINE_MS: '60000',
    },
  })
  const { broker } = world
  const { nc } = broker
  const where = (...args: string[]) => millrace(['where', ...args], { NATS_URL: world.server.url })
  const none = await where('JOBS:1')
  assert.deepEqual(none, { code: 3, stdout: '', stderr: 'no supervisor that answers runs JOBS:1\n' })

  const supervisor = await world.supervise({ MILLRACE_GRACE_MS: '0' })
  await broker.enqueue('spin', { canary: 'canary_4711' }, { id: 'spinning' })
  await broker.enqueue('wait', {})
  for (const handler of ['spin', 'wait'])
    await eventually(`${handler} has begun`, () =>
      supervisor.lines.some((line) => line.msg === 'job started' && line['handler'] === handler),
    )

  const spinning = await where('spinning')
  assert.equal(spinning.code, 0, spinning.stderr)
  assert.match(
    spinning.stdout,
    /^spin spinning, attempt 1 of 5\non supervisor \w+, thread \d+\nfor [\d.]+ s of 60 s\nin addUp \((\S+spin\.ts:\d+:\d+)\)\n {2}at addUp \(\1\)\n {2}at spin \(/,
  )
  const waiting = JSON.parse((await where('JOBS:2', '--json')).stdout) as Record<string, unknown>[]
  assert.equal(waiting.length, 1)
  const { job_id, handler, state, attempt, abort } = waiting[0]!
  assert.deepEqual(
    { job_id, handler, state, attempt, abort },
    {
      job_id: 'JOBS:2',
      handler: 'wait',
      state: 'running',
      attempt: 1,
      abort: null,
    },
  )
  assert.match(JSON.stringify(waiting[0]!['where']), /^\{"kind":"waiting","resources":\{.*"TCPSocketWrap":/)
  // It is found at its place in the stream, too, although it has an id.
  assert.match((await where('JOBS:1')).stdout, /^spin spinning,/)

  // Who asks cannot have the answer published just anywhere.
  const stolen: string[] = []
  nc.subscribe('events.jobs.stolen', { callback: (_, message) => void stolen.push(message.string()) })
  nc.publish('asks.jobs.where', 'spinning', { reply: 'events.jobs.stolen' })
  assert.equal((await where('spinning')).code, 0)
  const gone = await where('other')
  assert.deepEqual([gone.code, gone.stdout, stolen], [3, '', []])

  // Both still run, and are stopped as ever.
  assert.ok(!supervisor.lines.some((line) => line.msg === 'thread killed'))
  const env = { NATS_URL: world.server.url }
  for (const id of ['spinning', 'JOBS:2']) await millrace(['cancel', id], env)
  for (const id of ['spinning', 'JOBS:2']) assert.equal((await broker.deadLetter(id)).reason, 'cancelled')
})
