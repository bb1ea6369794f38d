import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  bucketKey,
  cancelledJobId,
  cancelledKey,
  limitKey,
  ownerKey,
  pausedHandler,
  pausedKey,
  readBucketKey,
} from '#src/core/control-keys.js'

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
      assert.equal(readBucketKey(key), text)
    }),
  )
})

test('an entry says whom it is about, also when it was written by hand', () => {
  assert.equal(pausedHandler(pausedKey('email.send')), 'email.send')
  assert.equal(cancelledJobId(cancelledKey('a:1'), '{"id":"a:1","at":"2026-01-01T00:00:00Z"}'), 'a:1')
  for (const value of ['', '{}', 'x', 'null', '7', '{"id":""}', '{"id":7}']) {
    assert.equal(cancelledJobId('cancelled.JOBS=3A12', value), 'JOBS:12', value)
  }
  assert.equal(cancelledJobId('cancelled.order.1', ''), 'order.1')
  assert.equal(cancelledJobId('cancelled.a=zz', ''), 'a=zz', 'no code of ours')
})

test('any entry is about some job, and none breaks the reading of it', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.oneof(fc.string(), fc.json()), (key, value) => {
      assert.equal(typeof cancelledJobId(`cancelled.${key}`, value), 'string')
      assert.equal(typeof readBucketKey(key), 'string')
    }),
  )
})
