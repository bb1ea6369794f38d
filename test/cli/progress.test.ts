import assert from 'node:assert/strict'
import { test } from 'node:test'
import { barOf } from '#src/cli/progress.js'

test('a bar says how much is done, how fast, and how long the rest takes', () => {
  const bar = '█'.repeat(6) + '░'.repeat(18)
  assert.equal(barOf('replaying', 100, 400, 2), `replaying  ${bar}  100 of 400  50/s  6s left`)
  assert.equal(barOf('replaying', 0, 400, 2), `replaying  ${'░'.repeat(24)}  0 of 400  0.0/s`)
  assert.equal(barOf('storing', 30, undefined, 10), 'storing  30  3.0/s')
  assert.match(barOf('storing', 500, 400, 1), /█{24} {2}500 of 400/)
  assert.match(barOf('storing', 1, 10_000, 1), /1\.0\/s {2}3h left$/)
})
