import assert from 'node:assert/strict'
import { test } from 'node:test'
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
