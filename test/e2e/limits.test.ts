import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import type { LedgerLine } from '../support/ledger.ts'
import { projectRoot } from '../support/supervisor.ts'
import { World } from '../support/world.ts'

const handlers = join(projectRoot, 'test/fixtures/handlers/limited')

function createWorld(t: TestContext, limits: object, env: Record<string, string> = {}): Promise<World> {
  return World.create(t, {
    env: {
      MILLRACE_HANDLERS: handlers,
      MILLRACE_JOB_LOGS: 'errors',
      E2E_LIMITS: JSON.stringify(limits),
      ...env,
    },
  })
}

/** When jobs of the limited handler began, in order. */
function startsOf(lines: readonly LedgerLine[]): number[] {
  const starts = lines.filter(({ kind, handler }) => kind === 'start' && handler === 'limited')
  return starts.map(({ atMs }) => atMs).sort((a, b) => a - b)
}

/** The most starts within any span of `perMs`. */
function mostWithin(starts: readonly number[], perMs: number): number {
  let most = 0
  let first = 0
  for (const [index, at] of starts.entries()) {
    while (at - starts[first]! >= perMs) first += 1
    most = Math.max(most, index - first + 1)
  }
  return most
}

/** The most jobs of the limited handler that ran at once; a process that was killed ran nothing after that. */
function mostAtOnce(lines: readonly LedgerLine[], killed?: { pid: number; atMs: number }): number {
  const open = new Map<string, LedgerLine>()
  let most = 0
  let isOver = killed === undefined
  for (const line of lines.filter(({ handler }) => handler === 'limited').sort((a, b) => a.atMs - b.atMs)) {
    if (!isOver && line.atMs > killed!.atMs) {
      isOver = true
      for (const [id, { pid }] of open) if (pid === killed!.pid) open.delete(id)
    }
    // Its last moment.
    if (killed && line.pid === killed.pid && line.atMs > killed.atMs) continue
    if (line.kind === 'start') open.set(`${line.id} ${line.attempt}`, line)
    if (line.kind === 'end') open.delete(`${line.id} ${line.attempt}`)
    most = Math.max(most, open.size)
  }
  return most
}

const nowMs = (): number => Number(process.hrtime.bigint() / 1000n) / 1000

test('a rate limit holds in every span of time, for all supervisors together, and is used up', async (t) => {
  const perMs = 500
  const world = await createWorld(t, { rateLimit: { jobs: 25, perMs } })
  const { broker, ledger } = world
  const supervisors = await Promise.all([world.supervise(), world.supervise(), world.supervise()])
  const ids = await broker.enqueueAll(
    'limited',
    Array.from({ length: 140 }, (_, n) => ({ do: n % 10 === 0 ? ['throw', 'return'] : 'return', n })),
  )
  const free = await broker.enqueueAll(
    'free',
    Array.from({ length: 300 }, (_, n) => ({ do: 'return', n })),
  )
  await broker.drained(90_000)
  const ends = ledger.count('end')
  assert.ok(
    free.every((id) => ends.get(id) === 1),
    'jobs without a limit are done',
  )
  const starts = startsOf(ledger.lines())
  assert.equal(starts.length, ids.length + ids.length / 10, 'every attempt is a start')
  // A handler writes its line a moment after it began.
  assert.ok(mostWithin(starts, perMs * 0.97) <= 25, `${mostWithin(starts, perMs * 0.97)} within one span`)
  const spans = starts.length / 25
  const tookMs = starts.at(-1)! - starts[0]!
  assert.ok(tookMs >= (spans - 1) * perMs * 0.97, `${tookMs} ms`)
  assert.ok(tookMs < spans * perMs + 30_000, `${tookMs} ms`)
  assert.ok(ids.every((id, n) => ledger.attempts(id).join() === (n % 10 === 0 ? '1,2' : '1')))
  assert.deepEqual(await broker.deadLetters(), [])
  for (const { pid } of supervisors) {
    assert.ok(
      ledger.lines().some((line) => line.pid === pid && line.handler === 'limited'),
      'each had some',
    )
  }
})

test('no more than maxInFlight run at once, also when a supervisor is killed and started again', async (t) => {
  const maxInFlight = 8
  const world = await createWorld(t, { maxInFlight }, { MILLRACE_ACK_WAIT_MS: '2000' })
  const { broker, ledger } = world
  const [victim, other] = await Promise.all([world.supervise(), world.supervise()])
  const jobs = (count: number) => Array.from({ length: count }, (_, n) => ({ do: 'sleep', ms: 40, n }))
  const ids = await broker.enqueueAll('limited', jobs(700))
  const endsOf = (pid?: number): number =>
    ledger.lines().filter((line) => line.kind === 'end' && (pid === undefined || line.pid === pid)).length
  await eventually('both are at work', () => endsOf(victim.pid) > 20 && endsOf() - endsOf(victim.pid) > 20)
  victim.signal('SIGKILL')
  const killed = { pid: victim.pid, atMs: nowMs() }
  await victim.exited
  const again = await world.supervise()
  // The first ones may be done by now.
  ids.push(...(await broker.enqueueAll('limited', jobs(200))))
  await broker.drained(90_000)
  const ends = ledger.count('end')
  assert.ok(ids.every((id) => ends.has(id)))
  const most = mostAtOnce(ledger.lines(), killed)
  assert.ok(most >= maxInFlight, `${most} at once`)
  // The permits of one that had no processor for too long are taken for those of a dead one, and its jobs still run.
  if (![victim, other, again].some(({ wasHeldUp }) => wasHeldUp)) assert.equal(most, maxInFlight)
  assert.ok(endsOf(again.pid) > 0)
  assert.deepEqual(await broker.deadLetters(), [])
})

test('with both limits, jobs that wait hold up no others, and are given back at a stop at once, uncharged', async (t) => {
  const world = await createWorld(t, { rateLimit: { jobs: 3, perMs: 600_000 }, maxInFlight: 2 })
  const { broker, ledger } = world
  const first = await world.supervise()
  const ids = await broker.enqueueAll(
    'limited',
    Array.from({ length: 40 }, (_, n) => ({ do: 'return', n })),
  )
  await eventually('the starts of ten minutes are used up', () => ledger.count('end').size === 3)
  await first.metric('millrace_jobs_in_flight', { handler: 'limited' }, 2)
  const free = await broker.enqueueAll(
    'free',
    Array.from({ length: 300 }, (_, n) => ({ do: 'return', n })),
  )
  await eventually('jobs without a limit are done', () => {
    const ends = ledger.count('end')
    return free.every((id) => ends.get(id) === 1)
  })
  assert.equal(startsOf(ledger.lines()).length, 3)
  const stoppedAt = performance.now()
  assert.equal((await first.stop()).code, 0)
  assert.ok(performance.now() - stoppedAt < 10_000)
  const second = await world.supervise({ E2E_LIMITS: '{"rateLimit":{"jobs":50,"perMs":600000}}' })
  await broker.drained()
  assert.ok(ids.every((id) => ledger.attempts(id).join() === '1'))
  assert.equal((await second.metrics()).sum('millrace_dead_letters_total', {}), 0)
})

test('permits of a supervisor that stopped are there for the others at once', async (t) => {
  const world = await createWorld(t, { maxInFlight: 1 }, { MILLRACE_ACK_WAIT_MS: '60000' })
  const { broker, ledger } = world
  const first = await world.supervise()
  const gate = world.gate('open')
  const held = await broker.enqueue('limited', { do: 'hold', gate: gate.path })
  await eventually('it runs', () => ledger.starts(held).length === 1)
  const second = await world.supervise()
  const next = await broker.enqueue('limited', { do: 'return' })
  const stopped = first.stop()
  await second.metric('millrace_limit_waits_total', { handler: 'limited' }, 1)
  assert.equal(ledger.starts(next).length, 0)
  gate.open()
  assert.equal((await stopped).code, 0)
  // Those of a dead one are taken back after its ack wait, which is a minute.
  await broker.drained(30_000)
  assert.equal(mostAtOnce(ledger.lines()), 1)
  assert.deepEqual(ledger.attempts(next), [1])
})

test('a record that is lost with its bucket is begun anew, and nothing waits for ever', async (t) => {
  const world = await createWorld(t, { maxInFlight: 2 })
  const { broker, ledger } = world
  const supervisor = await world.supervise()
  const gate = world.gate('open')
  const held = await broker.enqueueAll(
    'limited',
    [1, 2, 3, 4].map((n) => ({ do: 'hold', gate: gate.path, n })),
  )
  await eventually('as many run as may', () => ledger.count('start').size === 2)
  // It may have made the first one, too.
  const timesMade = () => supervisor.lines.filter(({ msg }) => msg === 'created bucket jobs_control').length
  const before = timesMade()
  await broker.jsm.streams.delete('KV_jobs_control')
  await eventually('the bucket is made anew', () => timesMade() > before)
  gate.open()
  await broker.drained()
  assert.equal(mostAtOnce(ledger.lines()), 2)
  assert.ok(held.every((id) => ledger.attempts(id).join() === '1'))
})
