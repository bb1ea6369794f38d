import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JobSource } from '#src/engine/job-source.js'
import { handlerState } from '../support/fake-engine-parts.ts'

function createSource(): JobSource {
  return handlerState().sources.normal
}

test('a source that brings nothing for 20 ms although it was asked is empty', () => {
  const source = createSource()
  assert.equal(source.isEmpty(1_000), false, 'nobody has asked')
  source.asked(2, 1_000)
  assert.equal(source.isEmpty(1_019), false)
  assert.equal(source.isEmpty(1_020), true)
  source.arrived(5, 1_030)
  assert.equal(source.isEmpty(1_049), false)
  assert.equal(source.isEmpty(1_050), true)
})

test('a source without open credit is known to be empty only from what the server said', () => {
  const source = createSource()
  source.asked(1, 0)
  source.arrived(3, 0)
  assert.equal(source.isEmpty(60_000), false)
  source.asked(1, 60_000)
  source.arrived(0, 60_001)
  assert.equal(source.isEmpty(60_001), true)
  source.asked(1, 60_002)
  source.arrived(2, 60_003)
  assert.equal(source.isEmpty(60_003), false)
  source.asked(1, 60_004)
  source.returned(1)
  assert.equal(source.isEmpty(60_005), true, 'a pull that ends by itself has waited in vain')
})

test('expected is what the server has and there is room for, as long as it may still come', () => {
  const source = createSource()
  source.target = 4
  assert.equal(source.expected(0), 0, 'nothing is known')
  source.asked(2, 0)
  source.arrived(9, 1)
  source.held = 1
  assert.equal(source.expected(1), 3)
  source.held = 4
  assert.equal(source.expected(1), 0)
  source.held = 1
  assert.equal(source.expected(21), 0, 'others have taken it')
  source.target = 0
  assert.equal(source.expected(2), 0, 'nothing is pulled')
})

test('a source that is not bound is empty', () => {
  const { low } = handlerState().sources
  assert.equal(low.isEmpty(0), true)
  assert.equal(low.expected(0), 0)
})
