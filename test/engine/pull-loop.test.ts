import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Priority } from '#src/core/names.js'
import type { HandlerState } from '#src/engine/handler-state.js'
import { PullLoop } from '#src/engine/pull-loop.js'
import { FakeBroker, handlerState, ManualClock, settled } from '../support/fake-engine-parts.ts'

interface TestRoom {
  threads: number
  concurrency: number
  /** So many jobs may wait at a gate. */
  parkLimit?: number
}

function createPulls(room: TestRoom, ...handlers: HandlerState[]) {
  const { parkLimit = Number.POSITIVE_INFINITY } = room
  const clock = new ManualClock()
  const broker = new FakeBroker()
  const pulls = new PullLoop({
    broker,
    clock,
    handlers,
    room,
    held: () => 0,
    parkRoom: (handler) => parkLimit - handler.parked,
  })
  return {
    clock,
    broker,
    pulls,
    /** Lets the loop look once, and tells what it asked for. */
    async look(): Promise<string[]> {
      pulls.schedule()
      await settled()
      return broker.take()
    },
    /** Jobs arrive against open credit. */
    arrive(handler: HandlerState, count: number, priority: Priority = 'normal', pending = 0): void {
      const source = handler.sources[priority]
      for (let left = count; left > 0; left -= 1) source.arrived(pending, clock.monotonicMs())
      source.held += count
    },
  }
}

const a = (overrides = {}) => handlerState({ name: 'a', ...overrides })
const b = (overrides = {}) => handlerState({ name: 'b', ...overrides })

test('an idle handler keeps one pull of one job open, and no second', async () => {
  const { look } = createPulls({ threads: 4, concurrency: 1 }, a(), b())
  assert.deepEqual(await look(), ['pull a 1', 'pull b 1'])
  assert.deepEqual(await look(), [])
})

test('an active handler asks for what its threads have room for', async () => {
  const handler = a()
  const { look, arrive } = createPulls({ threads: 4, concurrency: 1 }, handler)
  await look()
  arrive(handler, 1)
  assert.deepEqual(await look(), ['pull a 3'])
})

test('never more is held and asked for than there is room', async () => {
  const [one, two] = [a(), b({ concurrency: 3 })]
  one.averageMs = 4
  const room = { threads: 2, concurrency: 5 }
  // 2 threads × (5 at once + 30 ms × 5 / 4 ms ahead), shared by two.
  const mostOne = Math.floor((2 * (5 + 37)) / 2)
  const { look, arrive } = createPulls(room, one, two)
  for (let round = 0; round < 50; round += 1) {
    await look()
    for (const handler of [one, two]) {
      if (handler.credit > 0) arrive(handler, 1 + Math.floor((handler.credit - 1) / 2))
      if (round % 3 === 0 && handler.held > 0) handler.sources.normal.held -= 1
      const outstanding = handler.held + handler.credit
      assert.ok(outstanding <= (handler === one ? 84 : 3), `${handler.profile.name}: ${outstanding}`)
    }
  }
  assert.ok(one.held + one.credit <= mostOne)
})

test('short jobs are asked for ahead of the free slots, long ones are not', async () => {
  const [short, long] = [a(), a()]
  short.averageMs = 1
  long.averageMs = 100
  for (const [handler, most] of [
    [short, 2 * 31],
    [long, 2],
  ] as const) {
    const { look, arrive } = createPulls({ threads: 2, concurrency: 1 }, handler)
    await look()
    arrive(handler, 1)
    await look()
    assert.equal(handler.held + handler.credit, most)
  }
})

test('the active handlers of a pool share its room evenly', async () => {
  const [one, two] = [a(), b()]
  const { look, arrive } = createPulls({ threads: 8, concurrency: 1 }, one, two)
  await look()
  arrive(one, 1)
  assert.deepEqual(await look(), ['pull a 7'])
  arrive(two, 1)
  assert.deepEqual(await look(), ['pull b 3'])
  arrive(one, 7)
  one.sources.normal.held = 2
  assert.deepEqual(await look(), ['pull a 2'])
})

test('a handler is idle again a second after its last job', async () => {
  const [one, two] = [a(), b()]
  const { clock, look, arrive } = createPulls({ threads: 8, concurrency: 1 }, one, two)
  await look()
  arrive(one, 1)
  arrive(two, 1)
  await look()
  one.sources.normal.held = 0
  one.sources.normal.credit = 0
  await clock.pass(999)
  assert.deepEqual(await look(), ['pull a 4'])
  one.sources.normal.credit = 0
  await clock.pass(1)
  assert.deepEqual(await look(), ['pull a 1', 'pull b 4'])
})

test('room is asked for in quarters', async () => {
  const handler = a()
  const { look, arrive } = createPulls({ threads: 16, concurrency: 1 }, handler)
  await look()
  arrive(handler, 1)
  await look()
  arrive(handler, 15)
  handler.sources.normal.held -= 3
  assert.deepEqual(await look(), [])
  handler.sources.normal.held -= 1
  assert.deepEqual(await look(), ['pull a 4'])
})

test('a thread that is free while long jobs hold the others is asked for, too', async () => {
  const handler = a()
  const { clock, broker, look, arrive } = createPulls({ threads: 8, concurrency: 1 }, handler)
  await look()
  arrive(handler, 1)
  await look()
  arrive(handler, 7)
  handler.sources.normal.held -= 1
  assert.deepEqual(await look(), [])
  await clock.pass(10)
  assert.deepEqual(broker.take(), ['pull a 1'])
})

test("a handler's own concurrency bounds what is asked for", async () => {
  const handler = a({ concurrency: 2 })
  const { look, arrive } = createPulls({ threads: 8, concurrency: 1 }, handler)
  await look()
  arrive(handler, 1)
  assert.deepEqual(await look(), ['pull a 1'])
})

test('a handler whose jobs wait at a gate is asked for no more than may wait there', async () => {
  const handler = a()
  const { look, arrive } = createPulls({ threads: 1, concurrency: 100, parkLimit: 8 }, handler)
  await look()
  arrive(handler, 1)
  assert.deepEqual(await look(), ['pull a 8'])
  arrive(handler, 5)
  handler.sources.normal.held -= 5
  handler.parked += 5
  assert.deepEqual(await look(), [])
  handler.parked -= 3
  handler.sources.normal.held += 3
  assert.deepEqual(await look(), ['pull a 3'])
  handler.parked = 8
  handler.sources.normal.credit = 0
  assert.deepEqual(await look(), [])
})

test('nothing is asked for without a connection, after a stop, or for a withdrawn handler', async () => {
  const handler = a()
  const { broker, pulls, look } = createPulls({ threads: 2, concurrency: 1 }, handler)
  broker.connected = false
  assert.deepEqual(await look(), [])
  broker.connected = true
  handler.withdrawn = true
  assert.deepEqual(await look(), [])
  handler.withdrawn = false
  pulls.schedule()
  pulls.stop()
  await settled()
  assert.deepEqual(broker.take(), [])
})

test('a paused handler is asked for again when its pause is over, one job at a time', async () => {
  const handler = a()
  const { clock, broker, look, arrive } = createPulls({ threads: 8, concurrency: 1 }, handler)
  for (let crash = 0; crash < 20; crash += 1) handler.crashed(0)
  assert.deepEqual(await look(), [])
  await clock.pass(999)
  assert.deepEqual(broker.take(), [])
  await clock.pass(1)
  assert.deepEqual(broker.take(), ['pull a 1'])
  arrive(handler, 1)
  assert.deepEqual(await look(), [])
  handler.crashesInARow = 0
  assert.deepEqual(await look(), ['pull a 7'])
})

test('a paused handler sets one timer, however often the others of its pool look for work', async () => {
  const [one, two] = [a(), b()]
  const { clock, look } = createPulls({ threads: 8, concurrency: 1 }, one, two)
  for (let crash = 0; crash < 20; crash += 1) one.crashed(0)
  for (let index = 0; index < 100; index += 1) await look()
  assert.equal(clock.timers, 1)
})

test('many reasons to look within one turn are one look', async () => {
  const { broker, pulls } = createPulls({ threads: 2, concurrency: 1 }, a())
  for (let index = 0; index < 10; index += 1) pulls.schedule()
  assert.deepEqual(broker.take(), [])
  await settled()
  assert.deepEqual(broker.take(), ['pull a 1'])
})

test('the other priorities are pulled from when they are bound, and one job is asked for at first', async () => {
  const handler = a()
  const { look } = createPulls({ threads: 4, concurrency: 1 }, handler)
  assert.deepEqual(await look(), ['pull a 1'])
  handler.sources.high.bound = true
  handler.sources.low.bound = true
  assert.deepEqual(await look(), ['pull a 1 high', 'pull a 1 low'])
})

test('high jobs are asked for although normal ones take all the room', async () => {
  const handler = a()
  handler.sources.high.bound = true
  const { look, arrive } = createPulls({ threads: 4, concurrency: 1 }, handler)
  await look()
  arrive(handler, 1, 'normal', 100)
  assert.deepEqual(await look(), ['pull a 3'])
  arrive(handler, 3, 'normal', 97)
  arrive(handler, 1, 'high', 10)
  assert.deepEqual(await look(), ['pull a 3 high'])
  arrive(handler, 3, 'high', 7)
  assert.deepEqual(await look(), [])
  // Normal ones hold more than their share needs now; as they end, only that is asked for again.
  handler.sources.normal.held = 2
  assert.deepEqual(await look(), [])
  handler.sources.normal.held = 1
  assert.deepEqual(await look(), ['pull a 1'])
})

test('low jobs are asked for as their share needs while normal ones wait, and for all the room when none does', async () => {
  const handler = a()
  const { low, normal } = handler.sources
  low.bound = true
  const { look, arrive } = createPulls({ threads: 8, concurrency: 1 }, handler)
  await look()
  arrive(handler, 1, 'normal', 100)
  arrive(handler, 1, 'low', 100)
  assert.deepEqual(await look(), ['pull a 7', 'pull a 1 low'])
  arrive(handler, 7, 'normal', 93)
  arrive(handler, 1, 'low', 99)
  low.held = 1
  assert.deepEqual(await look(), ['pull a 1 low'])
  arrive(handler, 1, 'low', 98)
  // Two end, two are asked for and come, and these were the last.
  normal.held = 6
  assert.deepEqual(await look(), ['pull a 2'])
  arrive(handler, 2, 'normal', 0)
  normal.held = 4
  assert.deepEqual(await look(), ['pull a 4', 'pull a 2 low'])
})

test('what the server has not said shows when an open pull brings nothing', async () => {
  const other = a()
  other.sources.low.bound = true
  const late = createPulls({ threads: 8, concurrency: 1 }, other)
  await late.look()
  late.arrive(other, 1, 'normal', 100)
  late.arrive(other, 1, 'low', 100)
  assert.deepEqual(await late.look(), ['pull a 7', 'pull a 1 low'])
  await late.clock.pass(19)
  assert.deepEqual(late.broker.take(), [])
  await late.clock.pass(1)
  assert.deepEqual(late.broker.take(), ['pull a 5 low'])
})

test('a handler on probation holds one job, whatever its priority', async () => {
  const handler = a()
  handler.sources.high.bound = true
  for (let crash = 0; crash < 20; crash += 1) handler.crashed(-100_000)
  const { look, arrive } = createPulls({ threads: 8, concurrency: 1 }, handler)
  await look()
  arrive(handler, 1, 'high', 10)
  handler.sources.normal.returned(1)
  assert.deepEqual(await look(), [])
})

test('how much is on its way is told only while it can come', async () => {
  const handler = a()
  const { broker, pulls, look, arrive } = createPulls({ threads: 4, concurrency: 1 }, handler)
  await look()
  arrive(handler, 1, 'normal', 100)
  await look()
  assert.deepEqual([pulls.expectedAbove('low'), pulls.expectedAbove('normal')], [3, 0])
  handler.paused = true
  await look()
  assert.equal(pulls.expectedAbove('low'), 0)
  handler.paused = false
  await look()
  broker.connected = false
  assert.equal(pulls.expectedAbove('low'), 0)
})

test('while all that arrives is put aside more is asked for, and too many on their way are not', async () => {
  const handler = a()
  const { look, arrive } = createPulls({ threads: 2, concurrency: 1 }, handler)
  await look()
  const moves = (count: number) => {
    arrive(handler, count)
    handler.sources.normal.held -= count
    handler.moving += count
    handler.movedInARow += count
  }
  moves(1)
  assert.deepEqual(await look(), ['pull a 3'])
  moves(3)
  assert.deepEqual(await look(), ['pull a 6'])
  moves(6)
  handler.movedInARow = 1_000
  assert.deepEqual(await look(), ['pull a 18'])
  arrive(handler, 1)
  handler.movedInARow = 0
  assert.deepEqual(await look(), [])
  handler.sources.normal.held = 0
  handler.sources.normal.credit = 0
  handler.moving = 2_000
  assert.deepEqual(await look(), [])
})

test('where there is room for one job, a second is held only beside one of another priority', async () => {
  const handler = a({ concurrency: 1 })
  const { high, normal, low } = handler.sources
  high.bound = true
  low.bound = true
  const { clock, broker, look, arrive } = createPulls({ threads: 8, concurrency: 1 }, handler)
  await look()
  arrive(handler, 1, 'low', 9)
  await look()
  await clock.pass(50)
  assert.deepEqual(broker.take(), [])
  low.held = 0
  arrive(handler, 1, 'normal', 9)
  await look()
  assert.equal(normal.credit, 0)
  arrive(handler, 1, 'high', 9)
  assert.deepEqual(await look(), ['pull a 1'])
})

test('a broker that is behind with what was done is asked for nothing until it has caught up', async () => {
  const handler = a()
  const { broker, pulls, look, arrive } = createPulls({ threads: 4, concurrency: 1 }, handler, b())
  await look()
  arrive(handler, 1, 'normal', 50)
  broker.behind.add('a')
  assert.deepEqual(await look(), [])
  assert.equal(pulls.expectedAbove('low'), 0, 'no thread is kept free for what was not asked for')
  broker.behind.delete('a')
  assert.deepEqual(await look(), ['pull a 3'])
})
