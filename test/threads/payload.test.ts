import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decodePayload, InvalidPayload } from '#src/threads/payload.js'

const bytes = (text: string) => new TextEncoder().encode(text)

function errorOf(data: Uint8Array): InvalidPayload['error'] {
  try {
    decodePayload(data, true)
  } catch (error) {
    assert.ok(error instanceof InvalidPayload)
    return error.error
  }
  return assert.fail('it was decoded')
}

test('JSON arrives as the value it stands for', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value)
      assert.deepEqual(decodePayload(bytes(text), true), JSON.parse(text))
    }),
  )
})

test('an empty body is no payload, and an empty body of another type is no bytes', () => {
  assert.equal(decodePayload(new Uint8Array(), true), undefined)
  assert.deepEqual(decodePayload(new Uint8Array(), false), new Uint8Array())
})

test('another content type gets bytes of its own, whatever they are', () => {
  const batch = new Uint8Array([1, 0xff, 0xfe, 4])
  const payload = decodePayload(batch.subarray(1, 3), false) as Uint8Array
  assert.deepEqual(payload, new Uint8Array([0xff, 0xfe]))
  // The batch is shared by its jobs; a handler must not see or change its neighbours' bytes.
  assert.equal(payload.buffer.byteLength, 2)
  payload[0] = 0
  assert.equal(batch[1], 0xff)
})

test('bytes that are not UTF-8 are invalid, and only their number is told', () => {
  const error = errorOf(new Uint8Array([0x22, 0xff, 0x22]))
  assert.equal(error.code, 'invalid_utf8')
  assert.match(error.message, /^the payload of 3 bytes is not valid UTF-8/)
})

test('G10: the error of a broken payload quotes nothing of it', () => {
  const secret = 'S3cr3t-Tok3n'
  for (const text of [secret, `{"token":"${secret}"`, `["${secret}",]`, `{${secret}:1}`, `"${secret}`]) {
    const error = errorOf(bytes(text))
    assert.equal(error.code, 'invalid_json')
    assert.ok(!JSON.stringify(error).includes('S3cr'), error.message)
  }
})

test('arbitrary bytes are decoded or invalid, and nothing else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (data) => {
      try {
        decodePayload(data, true)
      } catch (error) {
        assert.ok(error instanceof InvalidPayload)
        assert.ok(['invalid_utf8', 'invalid_json'].includes(error.error.code))
      }
    }),
  )
})
