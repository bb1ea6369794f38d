import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import type { JetStreamView } from '../support/jetstream-view.ts'
import type { Ledger } from '../support/ledger.ts'
import { unlessServer } from '../support/nats-server.ts'
import { World } from '../support/world.ts'

const hourMs = 3_600_000
/** What is promised is a second; the rest is for a machine under load. */
const lateMs = 1_000 + 4_000

/** An instant from now: for a header, and on the clock of the ledger. */
function fromNow(ms: number) {
  // In this order whatever comes in between makes nobody early.
  const atMs = performanceNow() + ms
  return { at: new Date(Date.now() + ms).toISOString(), atMs }
}

function performanceNow(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000
}

/** Nobody can start a job before a supervisor is ready. */
function assertOnTime(ledger: Ledger, id: string, dueAtMs: number, readyAtMs = dueAtMs): void {
  const [start] = ledger.starts(id)
  assert.ok(start, `${id} did not start`)
  const earliness = dueAtMs - start.atMs
  // The header has whole milliseconds, and the two clocks were not read at the same moment.
  assert.ok(earliness <= 5, `${id} started ${earliness} ms early`)
  const lateness = start.atMs - Math.max(dueAtMs, readyAtMs)
  assert.ok(lateness <= lateMs, `${id} started ${lateness} ms late`)
}

async function delayedLeft(broker: JetStreamView): Promise<number> {
  return (await broker.jsm.streams.info('JOBS_DELAYED')).state.messages
}

async function waiting(broker: JetStreamView, count: number): Promise<void> {
  await eventually(`${count} jobs wait in the delayed stream`, async () => {
    const [left, delayed] = [await broker.jobsLeft(), await delayedLeft(broker)]
    if (left !== 0 || delayed !== count)
      throw new Error(`${left} in the job stream, ${delayed} in the delayed`)
    return true
  })
}

test('a job starts at its Millrace-Run-At, and waits in the delayed stream until then', async (t) => {
  const world = await World.create(t)
  const supervisor = await world.supervise()
  const { broker, ledger } = world
  const { config } = await broker.jsm.streams.info('JOBS_DELAYED')
  assert.equal(config.allow_msg_schedules === true, unlessServer('2.14.2') === false)
  const enqueue = async (ms: number, options: { id?: string; handler?: string } = {}) => {
    const { at, atMs } = fromNow(ms)
    const { handler = 'act', ...rest } = options
    const id = await broker.enqueue(
      handler,
      { do: 'return' },
      { headers: { 'Millrace-Run-At': at }, ...rest },
    )
    return { id, atMs }
  }
  const soon = [
    await enqueue(2_500),
    await enqueue(1_800, { id: 'mine', handler: 'io' }),
    await enqueue(2_000, { handler: 'email.send' }),
    await enqueue(300),
  ]
  const past = await enqueue(-hourMs)
  const far = [await enqueue(21 * 24 * hourMs), await enqueue(50 * 365 * 24 * hourMs)]
  const bytes = new Uint8Array([0, 255, 10, 13, 0])
  const raw = fromNow(1_500)
  const rawId = await broker.enqueue('bytes', bytes, {
    headers: { 'Millrace-Run-At': raw.at, 'content-type': 'application/octet-stream' },
  })
  // With its headers for the way it would not fit into the job stream again, so it waits there.
  const { max_payload: maxPayload = 0 } = broker.nc.info ?? {}
  const large = JSON.stringify({ do: 'return', fill: 'x'.repeat(maxPayload - 16 * 1024 - 300) })
  const largeDue = fromNow(2_200)
  const largeId = await broker.enqueue('act', large, { headers: { 'Millrace-Run-At': largeDue.at } })

  await eventually('the near ones have run', () =>
    [...soon, past, { id: largeId }].every(({ id }) => ledger.ends(id).length === 1),
  )
  await broker.drained()
  for (const { id, atMs } of soon) assertOnTime(ledger, id, atMs)
  assertOnTime(ledger, largeId, largeDue.atMs)
  for (const { id } of [...soon, past, { id: largeId }]) assert.deepEqual(ledger.attempts(id), [1], id)
  await eventually('the bytes have arrived', () => ledger.of(rawId, 'seen').length === 1)
  assert.equal(ledger.of(rawId, 'seen')[0]!['hex'], Buffer.from(bytes).toString('hex'))
  for (const { id } of far) assert.deepEqual(ledger.starts(id), [])
  await supervisor.metric('millrace_delayed_jobs', {}, far.length)
  assert.equal((await supervisor.metrics()).sum('millrace_queue_ack_pending'), 0)
})

test('G1 G4: thousands of waiting jobs hold up nothing, and survive kill -9 of supervisor and broker', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_ACK_WAIT_MS: '2000', MILLRACE_JOB_LOGS: 'errors' } })
  const { broker, ledger, server } = world
  const first = await world.supervise()
  const far = { 'Millrace-Run-At': fromNow(24 * hourMs).at }
  const payload = { do: 'return' }
  const enqueueFar = broker.enqueueAll('act', Array(4_000).fill(payload), { headers: far })
  await eventually('some of them are moved', async () => (await delayedLeft(broker)) >= 100)
  await first.kill()
  await enqueueFar

  const second = await world.supervise()
  const plain = { atMs: performanceNow(), id: await broker.enqueue('io', payload) }
  await waiting(broker, 4_000)
  await eventually('an ordinary job ran meanwhile', () => ledger.ends(plain.id).length === 1)
  assertOnTime(ledger, plain.id, plain.atMs)
  const due = fromNow(15_000)
  const headers = { 'Millrace-Run-At': due.at }
  const ids = await broker.enqueueAll('act', Array(50).fill(payload), { headers })
  await waiting(broker, 4_000 + ids.length)

  server.kill('SIGKILL')
  await server.ended()
  await second.kill()
  await server.restart()
  await world.supervise()
  const readyAtMs = performanceNow()
  await eventually('those that are due have run', () => ids.every((id) => ledger.ends(id).length >= 1))
  for (const id of ids) {
    assertOnTime(ledger, id, due.atMs, readyAtMs)
    assert.deepEqual(ledger.attempts(id), [1], 'it ran once, as the first attempt')
  }
  await broker.drained()
  await eventually('the others still wait', async () => (await delayedLeft(broker)) === 4_000)
  assert.equal((await broker.deadLetters()).length, 0)
})

test('the attempts of a delayed job count from its first run, and its dead letter knows where it began', async (t) => {
  const world = await World.create(t)
  await world.supervise()
  const { broker, ledger } = world
  const headers = {
    'Millrace-Run-At': fromNow(1_500).at,
    'X-App': ['one', 'two'],
    'Millrace-Max-Attempts': '2',
  }
  const works = await broker.enqueue('act', { do: ['throw', 'see'] }, { headers })
  const beforeMs = Date.now()
  const fails = await broker.enqueue('act', { do: 'throw' }, { headers })
  const afterMs = Date.now()
  const letter = await broker.deadLetter(fails)
  assert.deepEqual(ledger.attempts(fails), [1, 2])
  assert.equal(letter.reason, 'exhausted')
  assert.equal(Buffer.from(letter.body).toString(), '{"do":"throw"}')
  assert.equal(letter.headers['X-App'], 'one|two')
  assert.equal(letter.headers['Millrace-Attempts'], '2')
  assert.equal(letter.headers['Millrace-Run-At'], headers['Millrace-Run-At'])
  assert.deepEqual(
    letter.history.map((entry) => entry['attempt']),
    [1, 2],
  )
  const toldMs = Date.parse(letter.headers['Millrace-Enqueued-At']!)
  assert.ok(
    toldMs > beforeMs - 100 && toldMs < afterMs + 100,
    `it was enqueued from ${beforeMs} to ${afterMs}, and says ${toldMs}`,
  )
  const names = Object.keys(letter.headers)
  assert.deepEqual(
    names.filter(
      (name) => /^Millrace-(Prior|Due)-/i.test(name) || (/^nats-/i.test(name) && name !== 'Nats-Msg-Id'),
    ),
    [],
  )
  await eventually('the other one completes', () => ledger.ends(works).length === 2)
  assert.deepEqual(ledger.attempts(works), [1, 2])
  assert.deepEqual(ledger.of(works, 'seen')[0]!['headers'], {
    'millrace-run-at': headers['Millrace-Run-At'],
    'millrace-max-attempts': '2',
    'x-app': 'one, two',
  })
  await broker.drained()
})

test('a job that expires while it waits is dead from then on, and never runs', async (t) => {
  const world = await World.create(t)
  await world.supervise()
  const { broker, ledger } = world
  const expiry = fromNow(1_500)
  const ids = [
    await broker.enqueue(
      'act',
      {},
      { headers: { 'Millrace-Run-At': fromNow(hourMs).at, 'Millrace-Expires-At': expiry.at } },
    ),
    await broker.enqueue(
      'act',
      {},
      { headers: { 'Millrace-Run-At': fromNow(1_800).at, 'Millrace-Expires-At': expiry.at } },
    ),
  ]
  for (const id of ids) {
    const letter = await broker.deadLetter(id)
    assert.deepEqual(
      [
        letter.reason,
        letter.headers['Millrace-Attempts'],
        letter.headers['Millrace-Error-Code'],
        letter.history,
      ],
      ['expired', '0', 'expired', []],
    )
    assert.ok(letter.headers['Millrace-Dead-At']! >= expiry.at, 'it is not dead before')
    assert.deepEqual(ledger.starts(id), [])
  }
  await broker.drained()
  assert.equal(await delayedLeft(broker), 0)
})

test('a delayed stream that somebody deletes takes its jobs with it, and nothing else', async (t) => {
  const world = await World.create(t)
  await world.supervise()
  const { broker, ledger } = world
  await broker.enqueue('act', {}, { headers: { 'Millrace-Run-At': fromNow(hourMs).at } })
  await waiting(broker, 1)
  await broker.jsm.streams.delete('JOBS_DELAYED')
  const plain = await broker.enqueue('act', { do: 'return' })
  await eventually('other jobs go on', () => ledger.ends(plain).length === 1)
  await eventually('the stream is back', () => broker.jsm.streams.info('JOBS_DELAYED'))
  const due = fromNow(1_500)
  const id = await broker.enqueue('act', { do: 'return' }, { headers: { 'Millrace-Run-At': due.at } })
  await eventually('it runs', () => ledger.ends(id).length === 1)
  assertOnTime(ledger, id, due.atMs)
})

test('without a delayed stream, and not allowed to make one, a supervisor gives jobs back until their time', async (t) => {
  const world = await World.create(t)
  const { broker, ledger } = world
  assert.deepEqual(await (await world.supervise()).stop(), { code: 0, signal: null })
  await broker.jsm.streams.delete('JOBS_DELAYED')
  const bound = world.spawn({ MILLRACE_MANAGE: 'false' })
  await eventually('it says what is missing', async () => {
    const { status, body } = await bound.get('/readyz')
    return status === 503 && body.includes('JOBS_DELAYED') && body.includes('JOBS_DELAYED/mover')
  })
  const due = fromNow(1_500)
  const id = await broker.enqueue('act', { do: 'return' }, { headers: { 'Millrace-Run-At': due.at } })
  await eventually('it runs', () => ledger.ends(id).length === 1)
  assertOnTime(ledger, id, due.atMs)
  assert.deepEqual(ledger.attempts(id), [1])
})

test('schedules of the server are turned on in a delayed stream of before, and what waits there goes on', {
  skip: unlessServer('2.14.2'),
}, async (t) => {
  const world = await World.create(t)
  const { broker, ledger } = world
  await broker.jsm.streams.add({
    name: 'JOBS_DELAYED',
    subjects: ['delayed.jobs.>'],
    retention: 'workqueue',
    storage: 'file',
  })
  const due = fromNow(4_000)
  const { headers } = await import('@nats-io/transport-node')
  const old = headers()
  old.set('Millrace-Job-Id', 'old')
  old.set('Millrace-Due-At', due.at)
  old.set('Millrace-Prior-Attempts', '0')
  await broker.js.publish('delayed.jobs.due.jobs.act', '{"do":"return"}', { headers: old })
  await world.supervise()
  const { config } = await broker.jsm.streams.info('JOBS_DELAYED')
  assert.equal(config.allow_msg_schedules, true)
  await broker.enqueue('act', { do: 'return' }, { id: 'new', headers: { 'Millrace-Run-At': due.at } })
  await eventually('it waits as a schedule', async () => {
    const { state } = await broker.jsm.streams.info('JOBS_DELAYED', { subjects_filter: 'delayed.jobs.at.>' })
    return Object.keys(state.subjects ?? {}).length === 1
  })
  await eventually('both run', () => ['old', 'new'].every((id) => ledger.ends(id).length === 1))
  for (const id of ['old', 'new']) assertOnTime(ledger, id, due.atMs)
})

test('what somebody else puts into the delayed stream and can be no job stays there, is told of, and holds nothing up', async (t) => {
  const world = await World.create(t)
  const supervisor = await world.supervise()
  const { broker, ledger } = world
  const { headers } = await import('@nats-io/transport-node')
  const large = headers()
  large.set('X-Large', 'x'.repeat(65_000))
  large.set('X-Larger', 'x'.repeat(400))
  const many = headers()
  for (let index = 0; index < 300; index += 1) many.set(`X-${index}`, '')
  for (const each of [large, many])
    await broker.js.publish('delayed.jobs.due.jobs.act', '{"do":"return"}', { headers: each })
  await eventually('it says so', () =>
    supervisor.lines.some(({ msg, err }) => {
      const { message = '' } = (err ?? {}) as { message?: string }
      return msg.startsWith('delayed job could not be moved') && message.endsWith('remove it')
    }),
  )
  const ids = await broker.enqueueAll('act', [{ do: 'return' }, { do: 'return' }], {
    headers: { 'Millrace-Run-At': fromNow(1_500).at },
  })
  await eventually('others are moved', () => ids.every((id) => ledger.ends(id).length === 1))
  await waiting(broker, 2)
  const mover = await broker.jsm.consumers.info('JOBS_DELAYED', 'mover')
  assert.ok(mover.delivered.consumer_seq <= 8, 'neither comes again and again')
})

test('a job with as many headers of ours as there may be waits where it is', async (t) => {
  const world = await World.create(t)
  await world.supervise()
  const { broker, ledger } = world
  const due = fromNow(2_000)
  const fill = Object.fromEntries(Array.from({ length: 45 }, (_, index) => [`Millrace-X-${index}`, 'x']))
  const id = await broker.enqueue(
    'act',
    { do: 'return' },
    { headers: { ...fill, 'Millrace-Run-At': due.at } },
  )
  await eventually('it runs', () => ledger.ends(id).length === 1)
  assertOnTime(ledger, id, due.atMs)
})
