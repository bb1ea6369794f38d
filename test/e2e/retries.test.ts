import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Msg } from '@nats-io/transport-node'
import { eventually } from '../support/eventually.ts'
import { World } from '../support/world.ts'

test('a job that fails is attempted again, as often and as soon as its rules say', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_MAX_ATTEMPTS: '3', MILLRACE_ATTEMPTS_LIMIT: '6' } })
  const supervisor = await world.supervise()
  const { broker, ledger } = world

  await t.test('G1 G4: attempts are numbered from 1 to the last one, then it is given up', async () => {
    const id = await broker.enqueue('act', { do: 'throw', message: 'no luck' })
    const letter = await broker.deadLetter(id)
    assert.equal(letter.reason, 'exhausted')
    assert.deepEqual(ledger.attempts(id), [1, 2, 3])
    await broker.drained()
    const act = { handler: 'act' }
    await supervisor.metric('millrace_jobs_settled_total', { ...act, verdict: 'retry' }, 2)
    await supervisor.metric('millrace_jobs_settled_total', { ...act, verdict: 'dead_letter' }, 1)
    await supervisor.metric('millrace_attempts_total', { ...act, outcome: 'failed' }, 3)
    await supervisor.metric('millrace_dead_letters_total', { ...act, reason: 'exhausted' }, 1)
  })

  await t.test('a later attempt may succeed', async () => {
    const id = await broker.enqueue('act', { do: ['throw', 'exit', 'see'] })
    await broker.drained()
    assert.deepEqual(ledger.attempts(id), [1, 2, 3])
    const [seen] = ledger.of(id, 'seen')
    assert.equal(seen!['redelivered'], true)
    assert.equal(seen!['maxAttempts'], 3)
    assert.ok((await broker.deadLetters()).every((letter) => letter.jobId !== id))
  })

  await t.test('a permanent failure is given up at once, by class and by code', async () => {
    for (const move of ['permanent', 'permanent-by-code']) {
      const id = await broker.enqueue('act', { do: move })
      const letter = await broker.deadLetter(id)
      assert.equal(letter.reason, 'permanent')
      assert.equal(letter.headers['Millrace-Attempts'], '1')
      assert.equal(letter.headers['Millrace-Error-Code'], 'permanent_failure')
      assert.deepEqual(ledger.attempts(id), [1])
    }
  })

  await t.test('RetryLater decides the delay and counts, by class and by code', async () => {
    for (const move of ['retry-later', 'retry-later-by-code']) {
      const id = await broker.enqueue('patient', { do: [move, 'return'], delayMs: 300 })
      await broker.drained()
      assert.deepEqual(ledger.attempts(id), [1, 2])
      const [first, second] = ledger.starts(id)
      assert.ok(second!.atMs - first!.atMs >= 290, 'it came back too early')
      const [retrying] = supervisor.linesAbout(id).filter((line) => line.msg === 'job retrying')
      assert.equal(retrying!['delay_ms'], 300)
      assert.equal(retrying!['max_attempts'], 2)
    }
    const exhausted = await broker.enqueue('patient', { do: 'retry-later', delayMs: 10 })
    assert.equal((await broker.deadLetter(exhausted)).reason, 'exhausted')
    assert.deepEqual(ledger.attempts(exhausted), [1, 2])
  })

  await t.test('G4: a snooze does not count', async () => {
    const id = await broker.enqueue(
      'act',
      { do: 'snooze', times: 4, delayMs: 50 },
      { headers: { 'Millrace-Max-Attempts': '1' } },
    )
    await broker.drained()
    assert.deepEqual(ledger.attempts(id), [1, 1, 1, 1, 1])
    assert.ok((await broker.deadLetters()).every((letter) => letter.jobId !== id))
    await supervisor.metric('millrace_attempts_total', { handler: 'act', outcome: 'snoozed' }, 4)
  })

  await t.test('Millrace-Max-Attempts overrides the setting and the definition, down and up', async () => {
    for (const [handler, most] of [
      ['act', 1],
      ['act', 5],
      ['patient', 1],
    ] as const) {
      const headers = { 'Millrace-Max-Attempts': String(most) }
      const id = await broker.enqueue(handler, { do: 'throw' }, { headers })
      const letter = await broker.deadLetter(id)
      assert.equal(letter.reason, 'exhausted')
      assert.equal(letter.headers['Millrace-Attempts'], String(most))
      assert.equal(ledger.attempts(id).at(-1), most)
    }
  })

  await t.test('Millrace-Max-Attempts above the limit is clamped, and that is logged', async () => {
    const headers = { 'Millrace-Max-Attempts': '50' }
    const id = await broker.enqueue('act', { do: 'throw' }, { headers })
    const letter = await broker.deadLetter(id)
    assert.equal(letter.headers['Millrace-Attempts'], '6')
    assert.deepEqual(ledger.attempts(id), [1, 2, 3, 4, 5, 6])
    const known = ['job started', 'job retrying', 'job dead-lettered']
    const others = supervisor.linesAbout(id).filter((line) => !known.includes(line.msg))
    assert.ok(others.length > 0, 'no log line tells of the clamping')
  })
})

test('the record of a job is removed when its ack can be lost no more', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_ACK_WAIT_MS: '1000' } })
  await world.supervise()
  const sent: string[] = []
  const note = (_: unknown, { subject, data }: Msg): void => {
    // A slow machine renews the lease meanwhile.
    if (Buffer.from(data).toString() === '+WPI') return
    sent.push(subject.startsWith('$JS.ACK.') ? `ack of delivery ${subject.split('.')[4]}` : 'removal')
  }
  world.broker.nc.subscribe('$JS.ACK.JOBS.>', { callback: note })
  world.broker.nc.subscribe('$JS.API.STREAM.MSG.DELETE.KV_jobs_attempts', { callback: note })
  await world.broker.nc.flush()
  await world.broker.enqueue('act', { do: ['throw', 'return'] })
  await world.broker.drained()
  await eventually('the record is removed', () => sent.includes('removal'))
  assert.deepEqual(sent, ['ack of delivery 1', 'ack of delivery 2', 'removal'])
})

test('a supervisor that stops leaves no record of a job that has completed', async (t) => {
  const world = await World.create(t)
  const supervisor = await world.supervise()
  const { broker } = world
  const bodies = Array.from({ length: 1_200 }, () => ({ do: ['throw', 'return'] }))
  await broker.enqueueAll('act', bodies)
  await broker.drained()
  const records = async () => (await broker.jsm.streams.info('KV_jobs_attempts')).state.messages
  assert.equal(await records(), bodies.length)
  assert.deepEqual(await supervisor.stop(), { code: 0, signal: null })
  assert.equal(await records(), 0)
})

test('G4: waiting for a slot for longer than the ack wait counts nothing and loses no lease', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_ACK_WAIT_MS: '1000', MILLRACE_THREADS: '1' } })
  const supervisor = await world.supervise()
  const { broker, ledger } = world
  const ids = await broker.enqueueAll(
    'act',
    Array.from({ length: 5 }, () => ({ do: 'sleep', ms: 700 })),
  )
  await broker.drained()
  for (const id of ids) assert.deepEqual(ledger.attempts(id), [1])
  const lost = (await supervisor.metrics()).sum('millrace_lease_lost_total')
  if (!supervisor.wasHeldUp) assert.equal(lost, 0)
})
