import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeReturned } from '#src/threads/return-value.js'

test('plain values become JSON, and nothing stays nothing', () => {
  assert.deepEqual(encodeReturned({ a: [1, 'ü', null] }, 100), { kind: 'json', json: '{"a":[1,"ü",null]}' })
  assert.deepEqual(encodeReturned(undefined, 100), { kind: 'json', json: undefined })
  assert.deepEqual(encodeReturned(null, 4), { kind: 'json', json: 'null' })
})

test('the limit counts bytes of JSON, not characters', () => {
  assert.equal(encodeReturned('üü', 6).kind, 'json')
  const over = encodeReturned('üü', 5)
  assert.equal(over.kind === 'unusable' && over.error.code, 'result_too_large')
  assert.match(over.kind === 'unusable' ? over.error.message : '', /6 bytes/)
  assert.equal(encodeReturned('x'.repeat(100), 50).kind, 'unusable')
})

test('what JSON cannot hold is named by its type and never quoted', () => {
  const cycle: Record<string, unknown> = { secret: 'hush' }
  cycle['hush'] = cycle
  const thrower = {
    toJSON: () => {
      throw new Error('hush')
    },
  }
  for (const value of [cycle, 7n, () => 'hush', Symbol('hush'), thrower, { toJSON: () => undefined }]) {
    const returned = encodeReturned(value, 100)
    assert.equal(returned.kind === 'unusable' && returned.error.code, 'result_not_json')
    assert.ok(!JSON.stringify(returned).includes('hush'))
  }
})
