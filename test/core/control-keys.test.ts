import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { bucketKey, cancelledKey, limitKey, ownerKey, pausedKey } from '#src/core/control-keys.js'

test('handlers keep their names in keys, job ids are encoded', () => {
  assert.equal(pausedKey('email.send'), 'paused.email.send')
  assert.equal(ownerKey('email.send'), 'owners.email.send')
  assert.equal(limitKey('email.send'), 'limits.email.send')
  assert.equal(cancelledKey('JOBS:12'), 'cancelled.JOBS=3A12')
  assert.equal(cancelledKey('a.b=c'), 'cancelled.a=2Eb=3Dc')
})

test('every text is one legal token, and no two are the same', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (text) => {
      const key = bucketKey(text)
      assert.match(key, /^[-=_A-Za-z0-9]+$/)
      assert.equal(decodeURIComponent(key.replaceAll('=', '%')), text)
    }),
  )
})
