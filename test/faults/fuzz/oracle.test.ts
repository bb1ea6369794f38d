import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Random } from '../random.ts'
import { CanaryWatch } from './canaries.ts'
import { canaryOf, drawMessage } from './messages.ts'
import { expect } from './oracle.ts'

const decoder = new TextDecoder('utf-8', { fatal: true })

test('a seed and a number make the same message again', () => {
  for (let index = 0; index < 500; index += 1) {
    assert.deepEqual(drawMessage(new Random(9), index, 5), drawMessage(new Random(9), index, 5))
  }
})

test('a payload is what its kind says', () => {
  const run = new Random(4)
  for (let index = 0; index < 3_000; index += 1) {
    const { payload } = drawMessage(run, index, 0)
    let read: string = payload.body.length === 0 ? 'empty' : 'value'
    try {
      const text = decoder.decode(payload.body)
      read = 'invalid_json'
      if (payload.body.length > 0) JSON.parse(text)
      read = payload.body.length === 0 ? 'empty' : 'value'
    } catch {
      if (read !== 'invalid_json') read = 'invalid_utf8'
    }
    assert.equal(read, payload.reading, `${index} ${payload.kind}`)
  }
})

test('every kind of end is expected of some message', () => {
  const run = new Random(4)
  const places = new Set<string>()
  const reasons = new Set<string>()
  for (let index = 0; index < 3_000; index += 1) {
    const expected = expect(drawMessage(run, index, 0))
    places.add(expected.place)
    for (const { reason } of expected.dead) reasons.add(reason)
    assert.ok(expected.place !== 'settled' || expected.completes || expected.dead.length > 0)
  }
  assert.deepEqual([...places].sort(), ['later', 'settled', 'stray', 'unclaimed'])
  assert.deepEqual([...reasons].sort(), [
    'crashed',
    'deadline',
    'exhausted',
    'expired',
    'invalid',
    'permanent',
  ])
})

test('a canary is found as it is, in hexadecimal digits and in base64 from any place, also across pieces', () => {
  const canary = canaryOf(77)
  const watch = new CanaryWatch(canary)
  for (let before = 0; before < 6; before += 1) {
    const bytes = Buffer.from(`${'.'.repeat(before)}${canary}1f tail`)
    for (const form of ['utf8', 'hex', 'base64', 'base64url'] as const) {
      assert.ok(watch.find(`before ${bytes.toString(form)} after`), `${form} ${before}`)
    }
  }
  assert.equal(watch.find('zq7 canary, and other words'), undefined)
  assert.equal(watch.findInPiece('a', `say ${canary.slice(0, 5)}`), undefined)
  assert.equal(watch.findInPiece('b', canary.slice(5)), undefined)
  assert.ok(watch.findInPiece('a', canary.slice(5)))
})
