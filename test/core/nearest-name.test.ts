import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { editDistance, nearestName } from '#src/core/nearest-name.js'

test('the edit distance is a metric', () => {
  const word = fc.string({ maxLength: 8 })
  fc.assert(
    fc.property(word, word, word, (one, two, three) => {
      const distance = editDistance(one, two)
      assert.equal(distance === 0, one === two)
      assert.equal(distance, editDistance(two, one))
      assert.ok(distance <= editDistance(one, three) + editDistance(three, two))
    }),
  )
})

test('a name is suggested only when it is near', () => {
  const known = ['MILLRACE_THREADS', 'MILLRACE_REPLICAS']
  assert.equal(nearestName('MILLRACE_THREAD', known), 'MILLRACE_THREADS')
  assert.equal(nearestName('MILLRACE_XYZ', known), null)
})
