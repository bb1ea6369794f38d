import assert from 'node:assert/strict'
import { test } from 'node:test'
import { handlerState } from '../support/fake-engine-parts.ts'

test('the first run is the average and later ones move it slowly', () => {
  const handler = handlerState()
  handler.measured(10)
  assert.equal(handler.averageMs, 10)
  handler.measured(26)
  assert.equal(handler.averageMs, 11)
  handler.measured(0)
  assert.ok(handler.averageMs! < 11 && handler.averageMs! > 10)
})

test('a much longer run counts at once, because guessing too short piles up work', () => {
  const handler = handlerState()
  handler.measured(1)
  handler.measured(5)
  assert.equal(handler.averageMs, 5)
})

test('twenty crashes in a row pause a handler, longer each time, up to 30 s', () => {
  const handler = handlerState()
  for (let crash = 1; crash < 20; crash += 1) assert.equal(handler.crashed(0), 0)
  assert.equal(handler.onProbation, false)
  const pauses = Array.from({ length: 7 }, () => handler.crashed(100))
  assert.deepEqual(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000])
  assert.equal(handler.restsUntil, 30_100)
  assert.equal(handler.onProbation, true)
})

test('a completed run ends the probation', () => {
  const handler = handlerState()
  for (let crash = 1; crash <= 25; crash += 1) handler.crashed(0)
  handler.crashesInARow = 0
  assert.equal(handler.onProbation, false)
})
