import assert from 'node:assert/strict'
import { test } from 'node:test'
import { aftermathOf } from './aftermath.ts'
import type { Power } from './evidence.ts'

function strike(powers: readonly Power[], to: number) {
  return { fault: 'a fault', powers, pids: undefined, from: to - 1_000, to }
}

test('a connection lost soon after a fault that may charge may charge, too', () => {
  const [lost] = aftermathOf([strike(['repeat', 'charge often'], 10_000)], [{ pid: 7, at: 12_000 }])
  assert.deepEqual(lost?.powers, ['charge'])
  assert.deepEqual(lost.pids, [7])
  assert.ok(lost.from <= 12_000 && lost.to > 12_000)
})

test('one that has no such fault before it has to be explained by something else', () => {
  const lost = [{ pid: 7, at: 12_000 }]
  assert.deepEqual(aftermathOf([], lost), [])
  assert.deepEqual(aftermathOf([strike(['repeat'], 10_000)], lost), [])
  assert.deepEqual(aftermathOf([strike(['charge'], 2_000)], lost), [], 'long before')
  assert.deepEqual(aftermathOf([strike(['charge'], 13_000)], lost), [], 'before it')
  const during = strike(['charge'], 12_500)
  assert.deepEqual(aftermathOf([strike(['charge'], 10_000), during], lost), [], 'that explains it itself')
})
