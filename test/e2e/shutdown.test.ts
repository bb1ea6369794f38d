import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import { Supervisor } from '../support/supervisor.ts'
import { soundHandlers, World } from '../support/world.ts'

const clean = { code: 0, signal: null }

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`G2 G8: ${signal} under load loses nothing and repeats nothing`, async (t) => {
    const world = await World.create(t)
    const { broker, ledger } = world
    const first = await world.supervise()
    const gate = world.gate('draining')
    // The last ones are not done before it drains, however late the signal comes.
    const jobs = Array.from({ length: 150 }, (_, n) =>
      n < 100 ? { do: 'sleep', ms: 20, n } : { do: 'hold', gate: gate.path, n },
    )
    const ids = [...(await broker.enqueueAll('act', jobs)), ...(await broker.enqueueAll('io', jobs))]
    await eventually('work is under way', () => ledger.count('end').size >= 30)
    first.signal(signal)
    await first.line('draining')
    gate.open()
    assert.deepEqual(await first.ended(), clean)
    assert.ok(first.lines.some((line) => line.msg === 'drained'))

    assert.ok((await broker.jobsLeft()) > 0, 'the load was done before the signal came')
    await world.supervise()
    await broker.drained()
    const starts = ledger.count('start')
    for (const id of ids) {
      assert.equal(starts.get(id), 1, `${id} ran ${starts.get(id)} times`)
      assert.deepEqual(ledger.attempts(id), [1])
    }
    assert.deepEqual(await broker.deadLetters(), [])
  })
}

test('G4 G8: what is longer than the drain is told, stopped, and starts again elsewhere uncharged', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_DRAIN_MS: '300', MILLRACE_GRACE_MS: '200' } })
  const { broker, ledger } = world
  const first = await world.supervise()
  const gate = world.gate('now')
  const deaf = await broker.enqueue('act', { do: 'hold', gate: gate.path })
  const polite = await broker.enqueue('act', { do: 'obey-unless-open', gate: gate.path })
  const shared = await broker.enqueue('io', { do: 'hold', gate: gate.path })
  const ids = [deaf, polite, shared]
  await eventually('all of them run', () => ids.every((id) => ledger.starts(id).length === 1))
  assert.deepEqual(await first.stop(), clean)
  for (const id of ids) {
    assert.equal(ledger.of(id, 'abort')[0]?.['code'], 'shutdown')
    const interrupted = first.linesAbout(id).find((line) => line.msg === 'job interrupted')
    assert.equal(interrupted?.['attempt'], 1)
  }
  assert.equal(await broker.jobsLeft(), ids.length)

  gate.open()
  await world.supervise()
  // The ack wait is 30 s: only a release brings them back sooner.
  await broker.drained(20_000)
  for (const id of ids) assert.deepEqual(ledger.attempts(id), [1, 1])
  assert.deepEqual(await broker.deadLetters(), [])
})

test('G8: a handler with a longer grace than the others gets it at shutdown', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_DRAIN_MS: '0', MILLRACE_GRACE_MS: '0' } })
  const { broker, ledger } = world
  const supervisor = await world.supervise()
  const id = await broker.enqueue('unhurried', { do: 'obey-late', ms: 3_000 })
  await eventually('it runs', () => ledger.starts(id).length === 1)
  assert.deepEqual(await supervisor.stop(), clean)
  assert.equal(ledger.ends(id).length, 1)
  assert.equal(await broker.jobsLeft(), 0)
})

test('G4: shutdowns without end never use up the attempts', async (t) => {
  const world = await World.create(t, {
    env: { MILLRACE_DRAIN_MS: '0', MILLRACE_GRACE_MS: '0', MILLRACE_MAX_ATTEMPTS: '2' },
  })
  const { broker, ledger } = world
  const gate = world.gate('now')
  let id = ''
  for (let round = 1; round <= 4; round++) {
    const supervisor = await world.supervise()
    if (round === 1) id = await broker.enqueue('act', { do: 'hold', gate: gate.path })
    await eventually(`it runs in round ${round}`, () => ledger.starts(id).length === round)
    assert.deepEqual(await supervisor.stop(), clean)
  }
  gate.open()
  await world.supervise()
  await broker.drained(20_000)
  assert.deepEqual(ledger.attempts(id), [1, 1, 1, 1, 1])
  assert.deepEqual(await broker.deadLetters(), [])
})

test('G8: a second signal skips the drain', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_DRAIN_MS: '120000', MILLRACE_GRACE_MS: '60000' } })
  const { broker, ledger } = world
  const first = await world.supervise()
  const gate = world.gate('now')
  const id = await broker.enqueue('act', { do: 'hold', gate: gate.path })
  await eventually('it runs', () => ledger.starts(id).length === 1)
  first.signal('SIGTERM')
  await first.line('draining')
  assert.equal((await first.get('/readyz')).status, 503)
  assert.equal((await first.get('/healthz')).status, 200)
  first.signal('SIGTERM')
  assert.deepEqual(await first.ended(20_000), clean)
  gate.open()
  await world.supervise()
  await broker.drained(20_000)
  assert.deepEqual(ledger.attempts(id), [1, 1])
})

test('G8: SIGTERM while the broker cannot be reached ends the start', async (t) => {
  const supervisor = new Supervisor({
    NATS_URL: 'nats://127.0.0.1:1',
    MILLRACE_STARTUP_MS: '120000',
    MILLRACE_HTTP_PORT: '0',
    MILLRACE_HANDLERS: soundHandlers,
  })
  t.after(() => supervisor.kill())
  await eventually('it has begun', () => supervisor.output !== '')
  assert.deepEqual(await supervisor.stop(20_000), clean)
})

test('G8: with a thread stuck in native code the process still ends and the job comes back', async (t) => {
  const [drainMs, graceMs, slackMs] = [500, 200, 10_000]
  const world = await World.create(t, {
    env: {
      MILLRACE_DRAIN_MS: String(drainMs),
      MILLRACE_GRACE_MS: String(graceMs),
      MILLRACE_ACK_WAIT_MS: '2000',
    },
  })
  const { broker, ledger } = world
  const first = await world.supervise()
  const gate = world.gate('now')
  const fifo = join(world.folder, 'fifo')
  execFileSync('mkfifo', [fifo])
  const stuck = await broker.enqueue('act', { do: 'read-fifo', fifo, gate: gate.path })
  const other = await broker.enqueue('act', { do: 'hold', gate: gate.path })
  const quick = await broker.enqueue('io', { do: 'sleep', ms: 200 })
  await eventually('all of them run', () => ledger.count('start').size === 3)
  const askedAt = performance.now()
  assert.deepEqual(await first.stop(60_000), { code: null, signal: 'SIGKILL' })
  const tookMs = performance.now() - askedAt
  assert.ok(tookMs < drainMs + graceMs + 2_000 + slackMs, `it took ${tookMs} ms`)

  gate.open()
  await world.supervise()
  await broker.drained()
  assert.equal(ledger.ends(stuck).length, 1)
  assert.deepEqual(ledger.attempts(other), [1, 1])
  assert.deepEqual(ledger.attempts(quick), [1])
  assert.deepEqual(await broker.deadLetters(), [])
})
