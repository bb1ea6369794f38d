import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { payloadText } from '#src/core/payload-text.js'

const encode = (text: string) => new TextEncoder().encode(text)

test('JSON stays what it was, digit for digit and on one line', () => {
  const { encoding, json } = payloadText(encode('{"n":12345678901234567890,\r\n "a":"\\n"}'), undefined)
  assert.deepEqual([encoding, json], ['json', '{"n":12345678901234567890,   "a":"\\n"}'])
  assert.equal(payloadText(encode('null'), 'application/json').encoding, 'json')
})

test('what is not JSON, or not said to be, is text or base64, and nothing is empty', () => {
  assert.deepEqual(payloadText(encode('1'), 'text/plain'), { encoding: 'text', json: '"1"' })
  assert.equal(payloadText(encode('{'), undefined).encoding, 'text')
  assert.deepEqual(payloadText(Uint8Array.of(255), undefined), { encoding: 'base64', json: '"/w=="' })
  assert.deepEqual(payloadText(new Uint8Array(), undefined), { encoding: 'empty', json: 'null' })
})

test('every payload can be made again from what is written', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 20_000 }),
    fc.string({ unit: 'binary' }).map(encode),
    fc.constantFrom('\ufeff', '\ufeff{}', '\u0000').map(encode),
    fc.json().map(encode),
  )
  fc.assert(
    fc.property(bytes, fc.constantFrom(undefined, 'text/plain'), (data, contentType) => {
      const { encoding, json } = payloadText(data, contentType)
      const value: unknown = JSON.parse(json)
      if (encoding === 'json') assert.deepEqual(value, JSON.parse(new TextDecoder().decode(data)))
      else if (encoding === 'empty') assert.equal(data.length, 0)
      else
        assert.deepEqual(
          Buffer.from(String(value), encoding === 'text' ? 'utf8' : 'base64'),
          Buffer.from(data),
        )
    }),
  )
})
