import assert from 'node:assert/strict'
import { test } from 'node:test'
import { millrace, startMillrace } from '../support/command-line.ts'
import { eventually } from '../support/eventually.ts'
import { World } from '../support/world.ts'

interface Status {
  handlers: Record<string, unknown>[]
  unclaimed: Record<string, unknown>[]
  delayed: number
  stranded: number
}

test('status tells how every handler stands, with and without a supervisor', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_MAX_ATTEMPTS: '1', MILLRACE_THREADS: '1' } })
  const { broker } = world
  const env = { NATS_URL: world.server.url }
  const status = async (): Promise<Status> => {
    const { code, stdout, stderr } = await millrace(['status', '--json'], env)
    assert.deepEqual([code, stderr], [0, ''])
    return JSON.parse(stdout) as Status
  }
  const of = (told: Status, handler: string) => told.handlers.find((row) => row['handler'] === handler)

  const nothing = { handlers: [], unclaimed: [], delayed: 0, stranded: 0 }
  assert.deepEqual(await status(), nothing)
  const bare = await millrace(['status'], env)
  assert.deepEqual([bare.code, bare.stdout], [0, ''])
  assert.match(bare.stderr, /no stream of jobs yet.* millrace start\n$/)

  const supervisor = await world.supervise()
  await broker.deadLetter(await broker.enqueue('act', { do: 'throw' }))
  const gate = world.gate('go')
  await broker.enqueue('act', { do: 'hold', gate: gate.path })
  await eventually('it runs', async () => of(await status(), 'act')!['ack_pending'] === 1)
  assert.equal((await millrace(['pause', 'io'], env)).code, 0)
  const busy = await eventually('somebody asks for other jobs', async () => {
    const told = await status()
    return Number(of(told, 'email.send')!['pulls']) > 0 && told
  })
  const { paused, paused_by } = of(busy, 'io')!
  assert.equal(paused, true)
  assert.match(String(paused_by), /@/)

  gate.open()
  await broker.drained()
  await supervisor.stop()
  await broker.enqueueAll('act', [{ do: 'return' }, { do: 'return' }])
  await broker.enqueue('act', { do: 'return' }, { priority: 'high' })
  await broker.enqueueAll('no.such', ['1', '2', '3'])
  await broker.nc.flush()
  const told = await status()
  const { oldest_age_seconds, pulls, ...act } = of(told, 'act')!
  assert.deepEqual(act, {
    handler: 'act',
    pending: 2,
    ack_pending: 0,
    paused: false,
    redelivered: 0,
    dead_letters: 1,
    paused_by: null,
    owner: null,
  })
  assert.ok(Number(oldest_age_seconds) > 0)
  assert.equal(typeof pulls, 'number')
  assert.deepEqual(told.unclaimed, [
    { handler: 'act', jobs: 1 },
    { handler: 'no.such', jobs: 3 },
  ])
  assert.equal(told.stranded, 0)

  const { stdout } = await millrace(['status'], env)
  assert.match(stdout, /^handler +pending +ack_pending +redelivered +dead +oldest +pulls +paused\n/)
  assert.match(stdout, /^act +2 +0 +0 +1 +\d+s? /m)
  assert.match(stdout, /^io .* by \S+@\S+$/m)
  assert.match(stdout, /^3 jobs of no\.such that no consumer takes/m)
})

test('a watched status comes again, and through an outage', async (t) => {
  const world = await World.create(t)
  const watching = startMillrace(['status', '--watch', '--json'], { NATS_URL: world.server.url })
  await eventually('the second one is there', () => watching.stdout.split('\n').length > 2)
  await world.server.stop()
  await eventually('the outage is told', () => watching.stderr !== '')
  watching.kill('SIGINT')
  const { stdout } = await watching.ended
  for (const line of stdout.trimEnd().split('\n'))
    assert.deepEqual(Object.keys(JSON.parse(line) as Status), [
      'handlers',
      'unclaimed',
      'delayed',
      'stranded',
    ])
})
