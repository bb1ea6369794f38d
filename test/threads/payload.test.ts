import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decodePayload, InvalidPayload } from '#src/threads/payload.js'

const bytes = (text: string) => Buffer.from(text)

function errorOf(data: Buffer): InvalidPayload['error'] {
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
  assert.equal(decodePayload(Buffer.of(), true), undefined)
  assert.deepEqual(decodePayload(Buffer.of(), false), new Uint8Array())
})

test('another content type gets bytes of its own, whatever they are', () => {
  const batch = Buffer.of(1, 0xff, 0xfe, 4)
  const payload = decodePayload(batch, false, 1, 3) as Uint8Array
  assert.deepEqual(payload, new Uint8Array([0xff, 0xfe]))
  // The batch is shared by its jobs; a handler must not see or change its neighbours' bytes.
  assert.equal(payload.buffer.byteLength, 2)
  payload[0] = 0
  assert.equal(batch[1], 0xff)
})

test('bytes that are not UTF-8 are invalid, and only their number is told', () => {
  const error = errorOf(Buffer.of(0x22, 0xff, 0x22))
  assert.equal(error.code, 'invalid_utf8')
  assert.match(error.message, /^the payload of 3 bytes is not valid UTF-8/)
})

test('what a lenient decoder gets wrong is told from what only looks like it', () => {
  const neighbours = ['"é"', '"\ufffd"', '\ufeff"a"', '"😀"'].map((text) => Buffer.from(text))
  const batch = Buffer.concat(neighbours)
  let start = 0
  const decoded = neighbours.map(({ length }) => {
    start += length
    return decodePayload(batch, true, start - length, start)
  })
  assert.deepEqual(decoded, ['é', '\ufffd', 'a', '😀'])
  // A character that two payloads share is none in either.
  const cut = batch.length - 3
  assert.throws(() => decodePayload(batch, true, start - 6, cut), InvalidPayload)
})

test('a payload is decoded as by a strict decoder', () => {
  const strict = new TextDecoder('utf-8', { fatal: true })
  const letters = fc.constantFrom(
    0x22,
    0x41,
    0xc3,
    0xa9,
    0xef,
    0xbf,
    0xbd,
    0xbb,
    0xf0,
    0x9f,
    0x98,
    0x80,
    0xed,
    0xa0,
  )
  fc.assert(
    fc.property(fc.array(letters, { maxLength: 12 }), (letters) => {
      const data = Buffer.from([0x22, ...letters, 0x22])
      const attempt = (decode: () => unknown) => {
        try {
          return decode()
        } catch {
          return InvalidPayload
        }
      }
      assert.deepEqual(
        attempt(() => decodePayload(data, true)),
        attempt(() => JSON.parse(strict.decode(data))),
      )
    }),
  )
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
        decodePayload(Buffer.from(data), true)
      } catch (error) {
        assert.ok(error instanceof InvalidPayload)
        assert.ok(['invalid_utf8', 'invalid_json'].includes(error.error.code))
      }
    }),
  )
})
