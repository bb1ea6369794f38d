import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import { World } from '../support/world.ts'

// Long enough for a machine that stands still for a second: an attempt must reach its handler in this time.
const deadlineMs = 1_500
const graceMs = 200
// What a loaded machine may add to a bound of the contract.
const slackMs = 10_000

test('G3: an endless loop is stopped at its deadline and its retry waits for its death', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_GRACE_MS: String(graceMs), MILLRACE_THREADS: '2' } })
  const supervisor = await world.supervise()
  const { broker, ledger } = world
  const headers = { 'Millrace-Deadline-Ms': String(deadlineMs), 'Millrace-Max-Attempts': '2' }

  await t.test('on a thread of its own, beside a neighbour on another', async () => {
    const gate = world.gate('cpu')
    const neighbour = await broker.enqueue('act', { do: 'hold', gate: gate.path })
    const culprit = await broker.enqueue('act', { do: 'loop-alive' }, { headers })
    const queued = await broker.enqueueAll('act', [{ do: 'return' }, { do: 'return' }])
    const letter = await broker.deadLetter(culprit)
    gate.open()
    await broker.drained()
    assert.equal(letter.reason, 'deadline')
    assert.deepEqual(ledger.attempts(culprit), [1, 2])
    assertNoOverlap(culprit)
    assert.deepEqual(ledger.attempts(neighbour), [1])
    for (const id of queued) assert.deepEqual(ledger.attempts(id), [1])
    await supervisor.metric('millrace_attempts_total', { handler: 'act', outcome: 'timed_out' }, 2)
  })

  await t.test('on a shared thread, whose other jobs start again uncharged', async () => {
    const gate = world.gate('io')
    const hold = { do: 'hold', gate: gate.path }
    const neighbours = await broker.enqueueAll('io', [hold, hold, hold, hold])
    const culprit = await broker.enqueue('io', { do: 'loop-alive' }, { headers })
    const letter = await broker.deadLetter(culprit)
    gate.open()
    await broker.drained()
    assert.equal(letter.reason, 'deadline')
    assert.deepEqual(ledger.attempts(culprit), [1, 2])
    assertNoOverlap(culprit)
    for (const id of neighbours) {
      assert.ok(
        ledger.starts(id).every((line) => line.attempt === 1),
        `${id} was charged`,
      )
      assert.equal(ledger.ends(id).length, 1)
    }
    await supervisor.metric('millrace_attempts_total', { handler: 'io', outcome: 'timed_out' }, 2)
    await supervisor.metric('millrace_attempts_total', { handler: 'io', outcome: 'completed' }, 4)
  })

  for (const [move, kills] of [
    ['loop', 2],
    ['loop-later', 3],
  ] as const) {
    await t.test(
      `${move} on a shared thread: who is starved beyond its own deadline is not charged`,
      async () => {
        const charged = { handler: 'io', outcome: 'timed_out' }
        const before = (await supervisor.metrics()).sum('millrace_attempts_total', charged)
        const sleeper = { do: 'sleep', ms: 200 }
        const ids = await broker.enqueueAll('io', [sleeper, sleeper, sleeper, { do: move, ms: 20 }], {
          headers,
        })
        const culprit = ids.pop()!
        const letter = await broker.deadLetter(culprit)
        await broker.drained()
        assert.equal(letter.reason, 'deadline')
        assert.equal(letter.history.length, 2)
        assert.ok(ledger.starts(culprit).length <= kills, `it ran ${ledger.starts(culprit).length} times`)
        for (const id of ids) {
          assert.ok(
            ledger.starts(id).every((line) => line.attempt === 1),
            `${id} was charged`,
          )
          assert.equal(ledger.ends(id).length, 1)
        }
        await supervisor.metric('millrace_attempts_total', charged, before + 2)
      },
    )
  }

  function assertNoOverlap(id: string): void {
    const [first, second] = ledger.starts(id)
    const alive = ledger.of(id, 'alive')
    const lastOf = (attempt: number) => alive.filter((line) => line.attempt === attempt).at(-1)!.atMs
    assert.ok(lastOf(1) < second!.atMs, 'the first attempt was alive when the second one began')
    for (const start of [first!, second!]) {
      const livedMs = lastOf(start.attempt) - start.atMs
      assert.ok(livedMs <= deadlineMs + graceMs + slackMs, `attempt ${start.attempt} lived ${livedMs} ms`)
    }
  }
})

test('G6: a CPU-bound job of three times the ack wait runs once, and so does what waits behind it', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_ACK_WAIT_MS: '1000' } })
  const supervisor = await world.supervise()
  const { broker, ledger } = world
  const ids = await broker.enqueueAll('act', [
    { do: 'compute', ms: 3000 },
    { do: 'compute', ms: 3000 },
    { do: 'return' },
    { do: 'return' },
  ])
  ids.push(await broker.enqueue('io', { do: 'compute', ms: 3000 }))
  await broker.drained()
  for (const id of ids) {
    assert.deepEqual(ledger.attempts(id), [1])
    assert.equal(ledger.ends(id).length, 1)
  }
  const { num_redelivered } = await broker.jsm.consumers.info('JOBS', 'act')
  assert.equal(num_redelivered, 0)
  const metrics = await supervisor.metrics()
  if (supervisor.wasHeldUp) return
  assert.equal(metrics.sum('millrace_lease_lost_total'), 0)
  assert.equal(metrics.sum('millrace_duplicates_suppressed_total'), 0)
})

test('G3: a job past its deadline never holds the jobs behind it for longer than that', async (t) => {
  const world = await World.create(t, {
    env: {
      MILLRACE_THREADS: '1',
      MILLRACE_DEADLINE_MS: String(deadlineMs),
      MILLRACE_GRACE_MS: '100',
      MILLRACE_MAX_ATTEMPTS: '1',
    },
  })
  await world.supervise()
  const { broker, ledger } = world
  const bodies = Array.from({ length: 60 }, (_, n) => ({ do: n % 20 === 5 ? 'loop' : 'return', n }))
  const ids = await broker.enqueueAll('act', bodies)
  await broker.drained()
  const dead = (await broker.deadLetters()).map((letter) => letter.jobId).sort()
  assert.deepEqual(dead, [ids[5], ids[25], ids[45]].sort())
  for (const [n, id] of ids.entries()) {
    assert.ok(ledger.starts(id).every((line) => line.attempt === 1))
    assert.equal(ledger.ends(id).length, bodies[n]!.do === 'loop' ? 0 : 1, `job ${n}`)
  }
})

test('G3: a retry waits for as long as the old thread is stuck in native code, and others go on', async (t) => {
  const world = await World.create(t, {
    env: {
      MILLRACE_THREADS: '2',
      MILLRACE_ACK_WAIT_MS: '1000',
      MILLRACE_DEADLINE_MS: '10000',
      MILLRACE_GRACE_MS: '100',
    },
  })
  await world.supervise()
  const { broker, ledger } = world
  const fifo = join(world.folder, 'fifo')
  execFileSync('mkfifo', [fifo])
  const gate = world.gate('now')
  const headers = { 'Millrace-Deadline-Ms': String(deadlineMs) }
  const stuck = await broker.enqueue('act', { do: 'read-fifo', fifo, gate: gate.path }, { headers })
  await eventually('it runs', () => ledger.starts(stuck).length === 1)
  // Some four seconds of other work: beyond the deadline, the grace and the ack wait.
  const others = await broker.enqueueAll(
    'act',
    Array.from({ length: 6 }, () => ({ do: 'sleep', ms: 1000 })),
  )
  await eventually('the others are done', () => others.every((id) => ledger.ends(id).length === 1))
  assert.equal(ledger.starts(stuck).length, 1, 'the retry began beside the old attempt')
  await broker.leaves(1)
  gate.open()
  // Opening it is enough; the killed thread may be gone before it could read anything.
  closeSync(openSync(fifo, 'w'))
  await broker.drained()
  assert.deepEqual(ledger.attempts(stuck), [1, 2])
  for (const id of others) assert.deepEqual(ledger.attempts(id), [1])
  assert.deepEqual(await broker.deadLetters(), [])
})
