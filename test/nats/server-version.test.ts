import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isUntested, parseServerVersion } from '#src/nats/server-version.js'

test('a version is read with and without what follows it', () => {
  assert.deepEqual(parseServerVersion('2.10.27'), { major: 2, minor: 10, patch: 27 })
  assert.deepEqual(parseServerVersion('2.12.0-RC.1+b2'), { major: 2, minor: 12, patch: 0 })
  assert.deepEqual(parseServerVersion('nightly'), { major: 0, minor: 0, patch: 0 })
})

test('untested is what is older than 2.9.10, by number and not by letter', () => {
  for (const text of ['', '1.10.30', '2.2.0', '2.9.9'])
    assert.equal(isUntested(parseServerVersion(text)), true, text)
  for (const text of ['2.9.10', '2.10.0', '3.0.0'])
    assert.equal(isUntested(parseServerVersion(text)), false, text)
  fc.assert(
    fc.property(fc.nat(3), fc.nat(20), fc.nat(30), (major, minor, patch) => {
      const weight = (major * 100 + minor) * 100 + patch
      assert.equal(isUntested({ major, minor, patch }), weight < 20_910)
    }),
  )
})
