import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import { connectedAgain } from '../support/jetstream-view.ts'
import { brokenPromises, type KeyedJob } from '../support/key-order.ts'
import { World } from '../support/world.ts'

const keyed = (key: string) => ({ headers: { 'Millrace-Key': key } })

/** Publishes one after the other, so that the order of publication is known. */
async function publish(
  world: World,
  count: number,
  make: (n: number) => { handler?: string; key: string; body: object },
): Promise<KeyedJob[]> {
  const jobs: KeyedJob[] = []
  for (let n = 0; n < count; n += 1) {
    const { handler = 'act', key, body } = make(n)
    const id = await world.broker.enqueue(handler, { n, ...body }, keyed(key))
    jobs.push({ id, handler, key })
  }
  return jobs
}

test('jobs of a key run one at a time in order, through failures, snoozes and dead letters', async (t) => {
  const world = await World.create(t)
  const supervisor = await world.supervise()
  const moves = [
    { do: 'return' },
    { do: ['throw', 'throw', 'return'] },
    { do: 'permanent' },
    { do: 'snooze', times: 2, delayMs: 30 },
    { do: ['retry-later', 'return'], delayMs: 50 },
    { do: 'sleep', ms: 15 },
  ]
  const jobs = await publish(world, 72, (n) => ({
    handler: n % 3 === 0 ? 'io' : 'act',
    key: `k${n % 4}`,
    body: moves[n % 7] ?? { do: 'return' },
  }))
  await world.broker.drained()
  assert.deepEqual(brokenPromises(world.ledger.lines(), jobs), [])
  for (const [n, { id }] of jobs.entries()) {
    const attempts = world.ledger.attempts(id)
    if (n % 7 === 1) assert.deepEqual(attempts, [1, 2, 3], id)
    else if (n % 7 === 3) assert.deepEqual(attempts, [1, 1, 1], id)
    else if (n % 7 === 4) assert.deepEqual(attempts, [1, 2], id)
    else assert.deepEqual(attempts, [1], id)
  }
  assert.equal((await world.broker.deadLetters()).length, jobs.filter((_, n) => n % 7 === 2).length)
  await supervisor.metric('millrace_handler_owner', { handler: 'act' }, 1)
  await supervisor.metric('millrace_jobs_parked', {}, 0)
})

test('a hot key with a long backlog holds up neither other keys nor jobs without one', async (t) => {
  const world = await World.create(t)
  await world.supervise()
  const gate = world.gate('hot')
  const held = { do: 'hold', gate: gate.path }
  const hot = await publish(world, 120, () => ({ handler: 'io', key: 'hot', body: held }))
  const others = await publish(world, 20, (n) => ({ handler: 'io', key: `cold ${n}`, body: {} }))
  const unkeyed = await world.broker.enqueueAll('io', [{}, {}, {}])
  await eventually('the others are done', () =>
    [...others.map(({ id }) => id), ...unkeyed].every((id) => world.ledger.ends(id).length === 1),
  )
  await world.broker.leaves(hot.length)
  gate.open()
  await world.broker.drained()
  assert.deepEqual(brokenPromises(world.ledger.lines(), [...hot, ...others]), [])
})

test('only a handler with keys has an owner; when that one stops, a stand-by goes on in order', async (t) => {
  const world = await World.create(t)
  const fleet = [await world.supervise(), await world.supervise()]
  const gate = world.gate('stopping')
  const moves = [
    { do: 'sleep', ms: 20 },
    { do: 'hold', gate: gate.path },
  ]
  // However fast it is, the owner does not come to the end of them.
  const jobs = await publish(world, 60, (n) => ({ key: `k${n % 3}`, body: moves[n < 15 ? 0 : 1]! }))
  const unkeyed = Array.from({ length: 40 }, () => ({ do: 'sleep', ms: 100 }))
  await world.broker.enqueueAll('io', unkeyed)
  const pidsOf = (handler: string) =>
    new Set(
      world.ledger
        .lines()
        .filter((line) => line.handler === handler)
        .map((line) => line.pid),
    )
  await eventually('keyed jobs run', () => pidsOf('act').size > 0)
  const [ownerPid] = pidsOf('act')
  const owner = fleet.find(({ pid }) => pid === ownerPid)!
  const standby = fleet.find(({ pid }) => pid !== ownerPid)!
  await standby.metric('millrace_handler_owner', { handler: 'act' }, 0)
  await owner.metric('millrace_handler_owner', { handler: 'act' }, 1)
  assert.deepEqual((await owner.metrics()).find('millrace_handler_owner', { handler: 'io' }), [])
  const stopped = owner.stop()
  await owner.line('draining')
  gate.open()
  assert.deepEqual(await stopped, { code: 0, signal: null })
  assert.equal((await standby.line('handler owned'))['claim'], 'released')
  await world.broker.drained()
  assert.deepEqual([...pidsOf('act')], [owner.pid, standby.pid])
  assert.equal(pidsOf('io').size, 2, 'a handler without keys is everybody’s')
  assert.deepEqual(brokenPromises(world.ledger.lines(), jobs), [])
  for (const { id } of jobs) assert.deepEqual(world.ledger.attempts(id), [1], id)
})

test('order and one at a time hold through kills, stops and a broker restart', async (t) => {
  const world = await World.create(t, {
    env: { MILLRACE_ACK_WAIT_MS: '4000', MILLRACE_MAX_ATTEMPTS: '50' },
  })
  const { ledger } = world
  const fleet = await Promise.all([world.supervise(), world.supervise(), world.supervise()])
  const deaths = new Map<number, number>()
  const moves = [{ do: 'sleep', ms: 40 }, { do: ['throw', 'sleep'], ms: 30 }, { do: 'return' }]
  const jobs = await publish(world, 210, (n) => ({
    handler: n % 2 === 0 ? 'act' : 'io',
    key: `k${n % 7}`,
    body: moves[n % 3]!,
  }))
  const nowMs = (): number => Number(process.hrtime.bigint() / 1_000n) / 1_000
  const begun = (): number => new Set(ledger.lines().map((line) => line.id)).size
  /** Whoever runs the jobs of this handler goes, and another one starts. */
  const replace = async (handler: string, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> => {
    // Else the other handler's wait for a new owner can leave nothing of this one that anybody could run.
    jobs.push(...(await publish(world, 7, (n) => ({ handler, key: `k${n}`, body: { do: 'sleep', ms: 40 } }))))
    const old = await eventually(`somebody runs ${handler}`, () => {
      const last = ledger.lines().findLast((line) => line.handler === handler && line.kind === 'start')
      return fleet.find((supervisor) => supervisor.pid === last?.pid)
    })
    const at = fleet.indexOf(old)
    if (signal === 'SIGKILL') deaths.set(old.pid, nowMs())
    old.signal(signal)
    fleet[at] = world.spawn()
    await old.ended()
  }
  const blows = [
    () => replace('act', 'SIGKILL'),
    () => replace('io', 'SIGTERM'),
    async () => {
      const isBack = connectedAgain(world.broker.nc)
      await world.server.restart()
      await isBack
    },
    () => replace('io', 'SIGKILL'),
    () => replace('act', 'SIGTERM'),
  ]
  for (const [index, blow] of blows.entries()) {
    const enough = 25 + index * 28
    await eventually(`${enough} jobs have begun`, () => begun() >= enough, 60_000)
    await blow()
  }
  await world.broker.drained(90_000)
  assert.deepEqual(brokenPromises(ledger.lines(), jobs, deaths), [])
  const ended = ledger.count('end')
  for (const { id } of jobs) assert.ok((ended.get(id) ?? 0) >= 1, `${id} never ended`)
  assert.deepEqual(await world.broker.deadLetters(), [])
})
