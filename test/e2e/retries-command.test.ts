import assert from 'node:assert/strict'
import { test } from 'node:test'
import { millrace } from '../support/command-line.ts'
import { eventually } from '../support/eventually.ts'
import { World } from '../support/world.ts'

type Row = Record<string, unknown>

test('retries ls tells what waits for another attempt, why and until when', async (t) => {
  const world = await World.create(t)
  const { broker, ledger } = world
  const env = { NATS_URL: world.server.url }
  const run = (...args: string[]) => millrace(['retries', 'ls', ...args], env)
  const rows = async (...args: string[]): Promise<Row[]> => {
    const { code, stdout } = await run(...args, '--json')
    assert.equal(code, 0)
    return JSON.parse(stdout) as Row[]
  }

  const missing = await run()
  assert.equal(missing.code, 1)
  assert.match(missing.stderr, /^error: there is no bucket jobs_attempts; a supervisor/)
  const supervisor = await world.supervise()
  assert.deepEqual(await run('--json'), { code: 0, stdout: '[]\n', stderr: '' })
  assert.deepEqual(await run(), { code: 0, stdout: '', stderr: 'no job waits for another attempt\n' })

  const later = { delayMs: 3_600_000 }
  const before = Date.now()
  await broker.enqueue('act', { do: 'retry-later', ...later }, { id: 'first' })
  await eventually('the first one is on record', async () => (await rows()).length === 1)
  await broker.enqueue('act', { do: 'snooze-first', ...later }, { id: 'dozing', priority: 'high' })
  await eventually('the second one is', async () => (await rows()).length === 2)
  const headers = { 'Millrace-Key': 'k' }
  await broker.enqueue('io', { do: 'retry-later', ...later }, { id: 'keyed', headers })
  await eventually('the third one is', async () => (await rows()).length === 3)
  // On record, and not waiting: one has completed, and one is dead.
  const done = await broker.enqueue('act', { do: ['throw', 'return'] })
  await eventually('it completes', () => ledger.ends(done).length === 2)
  await broker.deadLetter(await broker.enqueue('act', { do: 'permanent' }))
  await eventually('both are settled', async () => (await broker.jobsLeft()) === 2)

  const all = await rows()
  const { due_at, last_attempt_at, ...first } = all[0]!
  assert.deepEqual(first, {
    handler: 'act',
    job_id: 'first',
    stream: 'JOBS',
    seq: 1,
    attempts: 1,
    outcome: 'failed',
    error_code: 'retry_later',
    error_message: first['error_message'],
  })
  const dueAt = Date.parse(String(due_at))
  assert.ok(dueAt >= before + later.delayMs && dueAt <= Date.now() + later.delayMs)
  assert.ok(Date.parse(String(last_attempt_at)) >= before)
  assert.deepEqual(
    all.map((row) => [row['job_id'], row['stream'], row['outcome']]),
    [
      ['first', 'JOBS', 'failed'],
      ['dozing', 'JOBS_HIGH', null],
      ['keyed', 'JOBS', 'failed'],
    ],
  )
  assert.ok(all.every((row) => Date.parse(String(row['due_at'])) > Date.now()))
  assert.deepEqual(
    (await rows('--handler', 'io')).map((row) => row['job_id']),
    ['keyed'],
  )

  const one = await run('--limit', '1')
  assert.equal(one.code, 0)
  assert.match(one.stdout, /^handler +job_id +attempts +due +last_attempt_at +error\nact +first +1 +in \d+m /)
  assert.equal(one.stdout.trimEnd().split('\n').length, 2)
  assert.match(one.stderr, /^there may be more/)
  assert.equal((await run('--limit', '3')).stderr, '')
  assert.equal((await run('--limit', 'all')).code, 2)

  // A record of a stream that was made anew is about a job that is gone; another one has its place.
  await supervisor.stop()
  await broker.jsm.streams.delete('JOBS')
  await broker.jsm.streams.add({ name: 'JOBS', subjects: ['jobs.>'] })
  await broker.enqueueAll('act', ['1', '2', '3'])
  assert.deepEqual(
    (await rows()).map((row) => row['job_id']),
    ['dozing'],
  )
})
