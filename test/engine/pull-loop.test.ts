import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HandlerState } from '#src/engine/handler-state.js'
import { PullLoop } from '#src/engine/pull-loop.js'
import { FakeBroker, handlerState, ManualClock, settled } from '../support/fake-engine-parts.ts'

function createPulls(room: { threads: number; concurrency: number }, ...handlers: HandlerState[]) {
  const clock = new ManualClock()
  const broker = new FakeBroker()
  const pulls = new PullLoop(broker, clock, handlers, room, () => 0)
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
    arrive(handler: HandlerState, count: number): void {
      handler.credit -= count
      handler.held += count
      handler.lastArrivalAt = clock.monotonicMs()
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
      if (round % 3 === 0 && handler.held > 0) handler.held -= 1
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
  one.held = 2
  assert.deepEqual(await look(), ['pull a 2'])
})

test('a handler is idle again a second after its last job', async () => {
  const [one, two] = [a(), b()]
  const { clock, look, arrive } = createPulls({ threads: 8, concurrency: 1 }, one, two)
  await look()
  arrive(one, 1)
  arrive(two, 1)
  await look()
  one.held = 0
  one.credit = 0
  await clock.pass(999)
  assert.deepEqual(await look(), ['pull a 4'])
  one.credit = 0
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
  handler.held -= 3
  assert.deepEqual(await look(), [])
  handler.held -= 1
  assert.deepEqual(await look(), ['pull a 4'])
})

test('a thread that is free while long jobs hold the others is asked for, too', async () => {
  const handler = a()
  const { clock, broker, look, arrive } = createPulls({ threads: 8, concurrency: 1 }, handler)
  await look()
  arrive(handler, 1)
  await look()
  arrive(handler, 7)
  handler.held -= 1
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
  handler.parkLimit = 8
  const { look, arrive } = createPulls({ threads: 1, concurrency: 100 }, handler)
  await look()
  arrive(handler, 1)
  assert.deepEqual(await look(), ['pull a 8'])
  arrive(handler, 5)
  handler.held -= 5
  handler.parked += 5
  assert.deepEqual(await look(), [])
  handler.parked -= 3
  handler.held += 3
  assert.deepEqual(await look(), ['pull a 3'])
  handler.parked = 8
  handler.credit = 0
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
