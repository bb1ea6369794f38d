import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import type { Supervisor } from '../support/supervisor.ts'
import { World } from '../support/world.ts'

test('G1 G2: what a killed supervisor held is done by another one', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_ACK_WAIT_MS: '1500', MILLRACE_THREADS: '2' } })
  const { broker, ledger } = world
  const [first, second] = [await world.supervise(), await world.supervise()]
  const jobs = Array.from({ length: 200 }, (_, n) => ({ do: 'sleep', ms: 20, n }))
  const ids = [...(await broker.enqueueAll('act', jobs)), ...(await broker.enqueueAll('io', jobs))]
  await eventually('both are at work', () => new Set(ledger.lines().map((line) => line.pid)).size === 2)
  await first.kill()
  const endedBefore = new Set(
    ledger
      .lines()
      .filter((line) => line.kind === 'end' && line.pid === first.pid)
      .map((line) => line.id),
  )
  await broker.drained()
  const ends = ledger.count('end')
  for (const id of ids) assert.ok((ends.get(id) ?? 0) >= 1, `${id} never ended`)
  const repeated = ids.filter((id) => ends.get(id)! > 1)
  assert.ok(
    repeated.every((id) => endedBefore.has(id) && ends.get(id) === 2),
    `repeated: ${repeated}`,
  )
  assert.deepEqual(await broker.deadLetters(), [])
  assert.equal(second.exit, undefined)
})

test('G5: a job that kills its process every time is given up without running again', async (t) => {
  const maxAttempts = 3
  const world = await World.create(t, {
    env: {
      MILLRACE_THREADS: '2',
      MILLRACE_ACK_WAIT_MS: '1000',
      MILLRACE_MAX_ATTEMPTS: String(maxAttempts),
    },
  })
  const { broker, ledger } = world
  const fleet = new Respawner(world)
  t.after(() => fleet.end())
  await fleet.begin()
  const innocent = { do: 'sleep', ms: 300 }
  const before = await broker.enqueueAll(
    'act',
    Array.from({ length: 6 }, () => innocent),
  )
  const killer = await broker.enqueue('act', { do: 'kill-process' })
  const after = await broker.enqueueAll(
    'act',
    Array.from({ length: 6 }, () => innocent),
  )
  const shared = await broker.enqueueAll(
    'io',
    Array.from({ length: 6 }, () => innocent),
  )

  const letter = await broker.deadLetter(killer, 120_000)
  await broker.drained(60_000)
  assert.equal(letter.reason, 'crashed')
  assert.equal(letter.headers['Millrace-Error-Code'], 'process_crash')
  assert.equal(letter.headers['Millrace-Attempts'], String(maxAttempts))
  // Where the server stands still as the process dies it may deliver the job to the dead once more, which counts, too.
  const runs = ledger.starts(killer).length
  const inVain = Number(letter.headers['Millrace-Deliveries']) - 1 - runs
  assert.ok(runs === maxAttempts || (runs < maxAttempts && inVain > 0), `${runs} runs, ${inVain} in vain`)
  assert.equal(fleet.deaths, runs)
  const letters = await broker.deadLetters()
  assert.deepEqual(
    letters.map((it) => it.jobId),
    [killer],
    'innocents were given up',
  )
  for (const id of [...before, ...after, ...shared])
    assert.ok(ledger.ends(id).length >= 1, `${id} never ended`)
})

test('G2: a supervisor that was paused beyond its leases tells its jobs and harms nobody', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_ACK_WAIT_MS: '3000', MILLRACE_THREADS: '1' } })
  const { broker, ledger } = world
  const first = await world.supervise()
  const gate = world.gate('now')
  const id = await broker.enqueue('act', { do: 'hold', gate: gate.path })
  await eventually('it runs', () => ledger.starts(id).length === 1)
  first.signal('SIGSTOP')
  const second = await world.supervise()
  await eventually('it runs elsewhere', () => ledger.starts(id).length >= 2)
  first.signal('SIGCONT')
  await eventually('the first run is told', () =>
    ledger.of(id, 'abort').some((line) => line.pid === first.pid),
  )
  assert.equal(ledger.of(id, 'abort')[0]?.['code'], 'lease_lost')
  gate.open()
  await broker.drained()
  assert.deepEqual(await broker.deadLetters(), [])
  // One that has no processor for long enough loses its lease, too, and the job comes once more.
  if (!second.wasHeldUp) {
    assert.equal(ledger.starts(id).length, 2)
    await first.metric('millrace_lease_lost_total', { handler: 'act' }, 1)
  }
  await first.ready()
})

test('G2: what was sent to a paused supervisor and is done elsewhere does not run when it goes on', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_ACK_WAIT_MS: '1000', MILLRACE_THREADS: '1' } })
  const { broker, ledger } = world
  const first = await world.supervise()
  // Its pull is open most of the time, so the job goes into the socket of a process that does not read it.
  const id = await eventually('a job is sent to it while it is paused', async () => {
    first.signal('SIGSTOP')
    const sent = await broker.enqueue('act', { do: 'return' })
    const { num_ack_pending } = await broker.jsm.consumers.info('JOBS', 'act')
    if (num_ack_pending === 1) return sent
    first.signal('SIGCONT')
    await broker.drained()
    return undefined
  })
  await world.supervise()
  await broker.drained()
  first.signal('SIGCONT')
  await first.metric('millrace_lease_lost_total', { handler: 'act' }, 1)
  await first.metric('millrace_jobs_in_flight', {}, 0)
  assert.equal(ledger.starts(id).length, 1)
  assert.deepEqual(await broker.deadLetters(), [])
})

/** What an operator's process manager does: a supervisor that died is started again. */
class Respawner {
  deaths = 0
  readonly #world: World
  #current: Supervisor | undefined
  #over = false

  constructor(world: World) {
    this.#world = world
  }

  async begin(): Promise<void> {
    const supervisor = this.#world.spawn()
    this.#current = supervisor
    void supervisor.exited.then(() => {
      if (this.#over) return
      this.deaths += 1
      void this.begin().catch(() => {})
    })
    await supervisor.ready()
  }

  async end(): Promise<void> {
    this.#over = true
    await this.#current?.kill()
  }
}
