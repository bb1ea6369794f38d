import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decodeOwner, encodeOwner } from '#src/core/owner-record.js'

test('what is written about an owner is read back', () => {
  for (const state of ['held', 'released', 'over'] as const) {
    const record = { supervisor: 'a1b2c3d4', state }
    assert.deepEqual(decodeOwner(encodeOwner(record)), record)
  }
  assert.equal(decodeOwner(undefined), undefined)
})

test('what cannot be read is an owner that is nobody, and so never renews', () => {
  for (const value of [
    '',
    '{',
    '{}',
    '[]',
    'null',
    '{"supervisor":1,"state":"held"}',
    '{"supervisor":"a"}',
  ]) {
    assert.deepEqual(decodeOwner(value), { supervisor: '', state: 'held' }, value)
  }
  assert.deepEqual(decodeOwner('{"supervisor":"a","state":"else"}'), { supervisor: '', state: 'held' })
})

test('any value at all says who owns a handler', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (value) => {
      const owner = decodeOwner(value)
      assert.ok(
        owner && typeof owner.supervisor === 'string' && ['held', 'released', 'over'].includes(owner.state),
      )
    }),
  )
})
