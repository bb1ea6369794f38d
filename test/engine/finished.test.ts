import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Finished } from '#src/engine/finished.js'

test('a finished job is remembered and its neighbours are not', () => {
  const finished = new Finished()
  finished.add(7)
  assert.ok(finished.has(7))
  for (const other of [6, 8, 7 + 2 ** 17, 7 + 2 ** 31]) assert.ok(!finished.has(other), `${other}`)
})

test('the last 131072 jobs of a dense stream are all remembered', () => {
  const finished = new Finished()
  const last = 300_000
  for (let sequence = 1; sequence <= last; sequence += 1) finished.add(sequence)
  for (let sequence = last - 2 ** 17 + 1; sequence <= last; sequence += 1) assert.ok(finished.has(sequence))
  assert.ok(!finished.has(last - 2 ** 17))
})

test('it never claims a job that was not finished, at any place of a long stream', () => {
  const finished = new Finished()
  const added = new Set<number>()
  fc.assert(
    fc.property(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), fc.boolean(), (sequence, add) => {
      if (add) {
        finished.add(sequence)
        added.add(sequence)
        assert.ok(finished.has(sequence))
      } else assert.ok(!finished.has(sequence) || added.has(sequence))
    }),
  )
})

test('a new stream remembers nothing of the old one', () => {
  const finished = new Finished()
  finished.add(1)
  finished.clear()
  assert.ok(!finished.has(1))
})
