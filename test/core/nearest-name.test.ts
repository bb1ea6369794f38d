import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { editDistance, nearestName } from '#src/core/nearest-name.js'

test('the edit distance is the same from either side, and within what the lengths allow', () => {
  const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 8 })
  fc.assert(
    fc.property(word, word, (one, two) => {
      const distance = editDistance(one, two)
      assert.equal(distance === 0, one === two)
      assert.equal(distance, editDistance(two, one))
      assert.ok(distance >= Math.abs(one.length - two.length))
      assert.ok(distance <= Math.max(one.length, two.length))
    }),
  )
})

test('an insertion, a deletion, a replacement and a swap of neighbours are one edit each', () => {
  for (const typed of ['sttatus', 'stats', 'stakus', 'sttaus']) assert.equal(editDistance(typed, 'status'), 1)
  assert.equal(editDistance('stuats', 'status'), 2)
})

test('a name is suggested only when it is near', () => {
  const known = ['MILLRACE_THREADS', 'MILLRACE_REPLICAS']
  assert.equal(nearestName('MILLRACE_THREAD', known), 'MILLRACE_THREADS')
  assert.equal(nearestName('MILLRACE_XYZ', known), null)
  assert.equal(nearestName('stauts', ['start', 'status']), 'status')
  assert.equal(nearestName('q', ['id', 'at']), null, 'of a single letter every short name is near')
})
