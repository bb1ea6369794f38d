import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { headers } from '@nats-io/transport-node'
import { eventually } from '../../support/eventually.ts'
import { projectRoot, type Supervisor } from '../../support/supervisor.ts'
import { World } from '../../support/world.ts'
import { Random } from '../random.ts'

/** Values that an operator, a bug or another version may leave where a record is expected. */
const damages: readonly (string | Uint8Array)[] = [
  '',
  ' ',
  'null',
  '7',
  '"text"',
  '[]',
  '{}',
  '{',
  '\0',
  Uint8Array.of(0xff, 0xfe, 0x00),
  '{"__proto__":{"dead":{"reason":"permanent"}}}',
  `[${'['.repeat(20_000)}`,
  'x'.repeat(100_000),
]

/** Records of a job in its own stream, each with a field that is not what it should be. */
const oddFields: readonly object[] = [
  { released: 'two' },
  { released: -3 },
  { released: 1e300 },
  { released: 1.5, failures: null },
  { failures: [] },
  { failures: 'NaN' },
  { history: 'abc' },
  { history: { length: 3 } },
  { history: [null, 7, 'x', [], {}, { attempt: 'one', outcome: 3 }] },
  { history: [{ attempt: 1, outcome: 'failed', more: {} }] },
  { history: [{ attempt: 1, outcome: 'o'.repeat(50_000), error: '\u0000\r\n' }] },
  { repeats: '1', notBefore: 'tomorrow', dueAt: {} },
  { dead: true },
  { dead: {} },
  { dead: { reason: 'boredom', attempts: 1 } },
  { dead: { reason: 'permanent', attempts: 'x', error: 'text' } },
  { dead: { reason: 'permanent', error: { code: 7, message: {} } } },
  { dead: { reason: ['permanent'] } },
  { unheardOf: true, version: 99 },
]

/** Nothing has ended it, nothing is stuck, and it complains of no defect. */
async function isSound(supervisor: Supervisor): Promise<void> {
  const { status, body } = await supervisor.get('/readyz')
  assert.equal(status, 200, body)
  assert.equal((await supervisor.metrics()).sum('millrace_thread_restarts_total'), 0)
  assert.equal(supervisor.stderr, '')
}

test('G1: a damaged record of attempts loses no job and ends no supervisor', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_MAX_ATTEMPTS: '3' } })
  await (await world.supervise()).stop()
  const { broker } = world
  const { created } = await broker.jsm.streams.info('JOBS')
  const records = [...damages, ...oddFields.map((odd) => JSON.stringify({ stream: created, ...odd }))]
  // One job that completes and one that needs its record again, for each.
  const jobs = records.flatMap((record) => ['return', 'throw'].map((move) => ({ record, move })))
  const ids: string[] = []
  for (const { record, move } of jobs) {
    const id = await broker.enqueue('act', { do: move })
    await broker.js.publish(`$KV.jobs_attempts.${id.replace(':', '.')}`, record)
    ids.push(id)
  }
  // Delivered once already, so that the next delivery reads the record.
  const consumer = await broker.js.consumers.get('JOBS', 'act')
  for await (const message of await consumer.fetch({ max_messages: jobs.length })) message.nak()

  const supervisors = await Promise.all([world.supervise(), world.supervise()])
  await broker.drained(60_000)
  const letters = new Map((await broker.deadLetters()).map((letter) => [letter.jobId, letter]))
  for (const [index, { move, record }] of jobs.entries()) {
    const shown = `${move} with ${String(record).slice(0, 120)}`
    const letter = letters.get(ids[index]!)
    const saysDead = /"dead":\{"reason":"permanent"/.test(String(record)) && String(record).includes(created)
    if (move === 'return' && !saysDead) {
      assert.equal(letter, undefined, shown)
      assert.equal(world.ledger.ends(ids[index]!).length, 1, shown)
      continue
    }
    assert.ok(letter, shown)
    assert.ok(['exhausted', 'permanent', 'crashed'].includes(letter.reason), `${shown}: ${letter.reason}`)
    assert.ok(Array.isArray(letter.history), shown)
    assert.match(letter.headers['Millrace-Attempts'] ?? '', /^\d+$/, shown)
  }
  for (const supervisor of supervisors) await isSound(supervisor)
})

test('G1: odd entries of the control bucket lose no job and end no supervisor', async (t) => {
  // An owner whose entry is damaged counts as dead after this.
  const world = await World.create(t, { env: { MILLRACE_ACK_WAIT_MS: '1500' } })
  const supervisors = await Promise.all([world.supervise(), world.supervise()])
  const { broker } = world
  const put = (key: string, value: string | Uint8Array) => broker.js.publish(`$KV.jobs_control.${key}`, value)
  const keys = [
    'paused.nobody',
    'paused.__proto__',
    'paused.a.b.c',
    'paused',
    'x.y',
    'cancelled.=',
    'cancelled.=zz',
    'cancelled.__proto__',
    'cancelled.a.b',
    'owners.act',
    'owners.constructor',
    'limits.act',
    'owners',
  ]
  const random = new Random(11)
  for (const value of damages) {
    for (const key of random.shuffle(keys)) await put(key, value)
    const keyed = await broker.enqueue('act', { do: 'return' }, { headers: { 'Millrace-Key': 'k' } })
    const free = await broker.enqueue('io', { do: 'return' })
    // Who is told by such an entry that somebody else owns the handler may give a job back that runs.
    for (const id of [keyed, free]) await eventually(`${id} ends`, () => world.ledger.ends(id).length > 0)
  }
  await broker.drained()
  for (const supervisor of supervisors) await isSound(supervisor)
  // What has a meaning still has it.
  await put('paused.io', Uint8Array.of(0xff))
  await supervisors[0]!.line('handler paused')
})

test('G1: damaged limits are begun anew', async (t) => {
  const handlers = join(projectRoot, 'test/fixtures/handlers/limited')
  const limits = JSON.stringify({ maxInFlight: 2, rateLimit: { jobs: 20, perMs: 1_000 } })
  const world = await World.create(t, {
    env: { MILLRACE_HANDLERS: handlers, E2E_LIMITS: limits, MILLRACE_ACK_WAIT_MS: '2000' },
  })
  const supervisor = await world.supervise()
  const { broker } = world
  const odd = [
    { starts: 'x', inFlight: {} },
    { starts: [[1, -1]], inFlight: {} },
    { starts: [[1e300, 5]], inFlight: { ghost: { permits: 1e9, waiting: 0, beat: 0 } } },
    { starts: [], inFlight: { ghost: null } },
    { starts: [], inFlight: [] },
  ]
  for (const value of [...damages, ...odd.map((record) => JSON.stringify(record))]) {
    await broker.js.publish('$KV.jobs_control.limits.limited', value)
    const id = await broker.enqueue('limited', { do: 'return' })
    await eventually(
      `${id} ends with ${String(value).slice(0, 60)}`,
      () => world.ledger.ends(id).length === 1,
    )
  }
  await isSound(supervisor)
})

test('G7: a damaged record of ticks ends no schedule and no supervisor', async (t) => {
  const handlers = join(projectRoot, 'test/fixtures/handlers/scheduled')
  const world = await World.create(t, { env: { MILLRACE_HANDLERS: handlers } })
  const supervisor = await world.supervise()
  const { broker } = world
  const ticks = async () => (await supervisor.metrics()).sum('millrace_ticks_total', { outcome: 'published' })
  const odd = [
    { state: 'claimed', instant: '2026-01-01T00:00:00Z', jobs: 7 },
    { state: 'published', instant: 'never', jobs: [] },
    { state: 'published', instant: '2026-01-01T00:00:00Z', jobs: [['x', null], 7, {}] },
    { state: 'published', instant: '2026-01-01T00:00:00Z', jobs: [[1, 1]], supervisor: {}, handler: [] },
    { state: 'boredom', instant: '2026-01-01T00:00:00Z', jobs: [] },
    { state: 'claimed', instant: '2026-01-01T00:00:00Z', jobs: [[1, 1]], handler: '../*' },
  ]
  for (const value of [...damages, ...odd.map((record) => JSON.stringify(record))]) {
    await broker.js.publish('ticks.jobs.often', value)
    const before = await ticks()
    await eventually(`a tick after ${String(value).slice(0, 60)}`, async () => (await ticks()) > before)
  }
  await isSound(supervisor)
})

test('G1: strange messages in the delayed stream hold nothing up', async (t) => {
  const world = await World.create(t)
  const supervisors = await Promise.all([world.supervise(), world.supervise()])
  const { broker } = world
  const ids: string[] = []
  const odd = [
    '',
    'never',
    '+275760-09-13T00:00:00Z',
    '1',
    '-1',
    '2020-02-30T00:00:00Z',
    '\u0000',
    'x'.repeat(9_000),
  ]
  for (const [index, value] of odd.entries()) {
    for (const name of ['Millrace-Due-At', 'Millrace-Run-At', 'Millrace-Prior-History']) {
      const own = headers()
      own.set('Millrace-Job-Id', `job-${index}-${name}`)
      own.set(name, value)
      await broker.js.publish('delayed.jobs.due.jobs.act', '{"do":"return"}', { headers: own })
      ids.push(`job-${index}-${name}`)
    }
    await broker.js.publish(
      `delayed.jobs.due.${['x', 'jobs.__proto__', 'jobs', 'dead.jobs.act'][index % 4]}`,
      'x',
    )
  }
  const delayed = new Date(Date.now() + 1_500).toISOString()
  const waits = await broker.enqueue('act', { do: 'return' }, { headers: { 'Millrace-Run-At': delayed } })
  const ends = async () => {
    const dead = new Set((await broker.deadLetters()).map((letter) => letter.jobId))
    return [...ids, waits].filter((id) => !dead.has(id) && world.ledger.ends(id).length === 0)
  }
  await eventually('every job of them ends', async () => {
    const left = await ends()
    // The one whose time has another 250,000 years to go.
    const due = left.filter((id) => id !== 'job-2-Millrace-Due-At' && id !== 'job-2-Millrace-Run-At')
    if (due.length > 0) throw new Error(`${due} are left`)
    return true
  })
  for (const supervisor of supervisors) await isSound(supervisor)
})
