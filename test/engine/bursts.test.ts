import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Bursts } from '#src/engine/bursts.js'
import { ManualClock } from '../support/fake-engine-parts.ts'

function createBursts() {
  const clock = new ManualClock()
  const bursts = new Bursts(clock)
  const done: string[] = []
  const add = (name: string) => bursts.add(() => done.push(`${name}@${clock.monotonicMs()}`))
  return { clock, bursts, done, add }
}

test('the first action happens at once', () => {
  const { done, add } = createBursts()
  add('a')
  assert.deepEqual(done, ['a@0'])
})

test('what comes within the quiet happens together at its end, in order', async () => {
  const { clock, done, add } = createBursts()
  add('a')
  await clock.pass(5)
  add('b')
  await clock.pass(10)
  add('c')
  assert.equal(clock.timers, 1)
  await clock.pass(9)
  assert.deepEqual(done, ['a@0'])
  await clock.pass(1)
  assert.deepEqual(done, ['a@0', 'b@25', 'c@25'])
})

test('a steady trickle becomes a burst every 25 ms', async () => {
  const { clock, done, add } = createBursts()
  for (let at = 0; at < 100; at += 1) {
    add('x')
    await clock.pass(1)
  }
  const instants = new Set(done.map((line) => Number(line.split('@')[1])))
  assert.deepEqual([...instants], [0, 25, 50, 75, 100])
  assert.equal(done.length, 100)
})

test('the quiet can be longer', async () => {
  const clock = new ManualClock()
  const bursts = new Bursts(clock, 100)
  const done: number[] = []
  for (let n = 0; n < 2; n += 1) bursts.add(() => done.push(clock.monotonicMs()))
  await clock.pass(200)
  assert.deepEqual(done, [0, 100])
})

test('after a quiet without actions the next one happens at once again', async () => {
  const { clock, done, add } = createBursts()
  add('a')
  await clock.pass(30)
  add('b')
  assert.deepEqual(done, ['a@0', 'b@30'])
})

test('a flush does not wait, and nothing happens twice', async () => {
  const { clock, bursts, done, add } = createBursts()
  add('a')
  add('b')
  bursts.flush()
  assert.deepEqual(done, ['a@0', 'b@0'])
  await clock.pass(100)
  assert.deepEqual(done, ['a@0', 'b@0'])
})

test('an action that adds another one does not run it in the same burst', async () => {
  const { clock, bursts, done, add } = createBursts()
  bursts.add(() => add('inner'))
  assert.deepEqual(done, [])
  await clock.pass(25)
  assert.deepEqual(done, ['inner@25'])
})
