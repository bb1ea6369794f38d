import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Kvm } from '@nats-io/kv'
import { cancelledKey } from '#src/core/control-keys.js'
import { eventually } from '../support/eventually.ts'
import { World } from '../support/world.ts'

async function createWorld(t: Parameters<typeof World.create>[0], env: Record<string, string> = {}) {
  const world = await World.create(t, { env: { MILLRACE_THREADS: '2', MILLRACE_GRACE_MS: '300', ...env } })
  const { broker } = world
  const start = async (count: number) => {
    const fleet = await Promise.all(Array.from({ length: count }, () => world.supervise()))
    return { fleet, control: await new Kvm(broker.nc).open('jobs_control') }
  }
  return { world, start }
}

const entry = (id: string) => JSON.stringify({ id, at: new Date().toISOString() })

test('a cancelled job ends as a dead letter, wherever it is', async (t) => {
  const { world, start } = await createWorld(t, {
    MILLRACE_BACKOFF_BASE_MS: '2000',
    MILLRACE_BACKOFF_MAX_MS: '2000',
  })
  const { broker, ledger } = world
  const { fleet, control } = await start(2)
  const cancel = (id: string) => control.put(cancelledKey(id), entry(id))
  const cancelled = async (id: string, attempts: number) => {
    const letter = await broker.deadLetter(id)
    assert.equal(letter.reason, 'cancelled')
    assert.equal(letter.headers['Millrace-Error-Code'], 'cancelled')
    assert.equal(letter.headers['Millrace-Attempts'], String(attempts))
    await eventually('its entry is removed', async () => {
      const found = await control.get(cancelledKey(id))
      return found === null || found.operation !== 'PUT'
    })
    return letter
  }

  await t.test('while it loops, and while it only waits: signal, grace, kill', async () => {
    const [looping, ignoring] = [
      await broker.enqueue('act', { do: 'loop-alive' }),
      await broker.enqueue('act', { do: 'ignore' }),
    ]
    await eventually('both run', () => [looping, ignoring].every((id) => ledger.starts(id).length === 1))
    await cancel(looping)
    await cancel(ignoring)
    for (const id of [looping, ignoring]) {
      const letter = await cancelled(id, 1)
      assert.deepEqual(
        letter.history.map((attempt) => attempt['outcome']),
        ['cancelled'],
      )
    }
    assert.equal(ledger.of(ignoring, 'abort')[0]?.['code'], 'cancelled')
    const alive = ledger.of(looping, 'alive').length
    const after = await broker.enqueue('act', { do: 'return' })
    await eventually('the threads are there again', () => ledger.ends(after).length === 1)
    assert.equal(ledger.of(looping, 'alive').length, alive, 'it is really gone')
    assert.deepEqual(ledger.attempts(looping), [1])
  })

  await t.test('on a shared thread, where its neighbours go on or start again uncharged', async () => {
    const gate = world.gate('neighbours')
    const neighbours = await broker.enqueueAll(
      'io',
      Array.from({ length: 4 }, () => ({ do: 'hold', gate: gate.path })),
    )
    const obeys = await broker.enqueue('io', { do: 'obey' })
    const throws = await broker.enqueue('io', { do: 'throw-after-abort' })
    const ignores = await broker.enqueue('io', { do: 'ignore' })
    const all = [...neighbours, obeys, throws, ignores]
    await eventually('all of them run', () => all.every((id) => ledger.starts(id).length === 1))
    for (const id of [obeys, throws, ignores]) await cancel(id)
    await cancelled(throws, 1)
    await cancelled(ignores, 1)
    gate.open()
    await eventually('the rest has ended', () =>
      [...neighbours, obeys].every((id) => ledger.ends(id).length > 0),
    )
    await broker.drained()
    assert.equal(ledger.ends(obeys)[0]?.['how'], 'returned')
    const letters = await broker.deadLetters()
    assert.ok(letters.every((letter) => letter.reason === 'cancelled' && letter.jobId !== obeys))
    for (const id of neighbours) assert.ok(ledger.attempts(id).every((attempt) => attempt === 1))
  })

  await t.test('between two attempts: at its next delivery', async () => {
    const id = await broker.enqueue('act', { do: 'retry-later', delayMs: 2_000 })
    // Its supervisor has heard of the failure by then, which comes after the handler's own last line.
    await eventually('it has failed once', () =>
      fleet.some((one) => one.linesAbout(id).some((line) => line.msg === 'job retrying')),
    )
    await cancel(id)
    const letter = await cancelled(id, 1)
    assert.deepEqual(
      letter.history.map((attempt) => attempt['outcome']),
      ['failed'],
    )
    assert.deepEqual(ledger.attempts(id), [1])
  })

  await t.test('in the stream, in a supervisor, and before it was enqueued', async () => {
    await cancel('not-yet')
    const blockers: string[] = []
    const running = () => blockers.filter((id) => ledger.starts(id).length === 1).length
    // One supervisor may hold more of them than it has threads: short jobs ran before.
    await eventually('all threads are busy', async () => {
      if (running() < 4) blockers.push(await broker.enqueue('act', { do: 'obey' }))
      return running() === 4
    })
    const waiting = await broker.enqueueAll(
      'act',
      Array.from({ length: 30 }, () => ({ do: 'return' })),
    )
    for (const id of waiting) await cancel(id)
    waiting.push(await broker.enqueue('act', { do: 'return' }, { id: 'not-yet' }))
    // They return when they hear of it, and by then their supervisors have heard of all the others.
    for (const id of blockers) await cancel(id)
    for (const id of waiting) await cancelled(id, 0)
    await broker.drained()
    assert.ok(waiting.every((id) => ledger.starts(id).length === 0))
  })

  await t.test('a replay of its dead letter runs', async () => {
    const id = await broker.enqueue('act', { do: 'ignore' }, { id: 'again' })
    await eventually('it runs', () => ledger.starts(id).length === 1)
    await cancel(id)
    const letter = await broker.deadLetter(id)
    await broker.enqueue(
      'act',
      { do: 'return' },
      { headers: { 'Millrace-Job-Id': id, 'Millrace-Replays': '1' } },
    )
    assert.equal(letter.reason, 'cancelled')
    await eventually('it has run', () => ledger.ends(id).length === 1)
    await broker.drained()
    assert.equal((await broker.deadLetters()).filter(({ jobId }) => jobId === id).length, 1)
  })

  await t.test('the numbers say so', async () => {
    let dead = 0
    let attempts = 0
    for (const one of fleet) {
      const metrics = await one.metrics()
      dead += metrics.sum('millrace_dead_letters_total', { reason: 'cancelled' })
      attempts += metrics.sum('millrace_attempts_total', { outcome: 'cancelled' })
    }
    assert.equal(dead, (await broker.deadLetters()).length)
    assert.equal(attempts, 5, 'those that had begun')
  })
})

test('a cancel is not lost with the supervisor that ran the job, nor while its handler is paused', async (t) => {
  const { world, start } = await createWorld(t, { MILLRACE_ACK_WAIT_MS: '1000' })
  const { broker, ledger } = world
  const { fleet, control } = await start(1)
  const running = await broker.enqueue('act', { do: 'ignore' })
  await eventually('it runs', () => ledger.starts(running).length === 1)
  await control.put('paused.act', '{}')
  const waiting = await broker.enqueue('act', { do: 'return' })
  await fleet[0]!.line('handler paused')
  await control.put(cancelledKey(running), entry(running))
  await fleet[0]!.kill()
  await control.put(cancelledKey(waiting), '')

  await world.supervise()
  await world.supervise()
  await control.delete('paused.act')
  assert.equal((await broker.deadLetter(running)).reason, 'cancelled')
  assert.equal((await broker.deadLetter(waiting)).reason, 'cancelled')
  await broker.drained()
  assert.deepEqual(ledger.attempts(running), [1])
  assert.deepEqual(ledger.starts(waiting), [])
})
