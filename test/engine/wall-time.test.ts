import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WallTime } from '#src/engine/wall-time.js'

test('an instant is translated by what both clocks show after it, with one reading for all that lie before', () => {
  let readings = 0
  let wall = 1_000_000
  let monotonic = 500
  const clock = {
    now: () => wall,
    monotonicMs: () => {
      readings += 1
      return monotonic
    },
    after: () => () => {},
  }
  const time = new WallTime(clock)
  assert.equal(time.at(490), 999_990)
  assert.equal(time.at(500), 1_000_000)
  assert.equal(time.at(100), 999_600)
  assert.equal(readings, 1)
  // The wall clock was set back by a minute meanwhile.
  wall += 10 - 60_000
  monotonic += 10
  assert.equal(time.at(501), 940_001)
  assert.equal(readings, 2)
})
