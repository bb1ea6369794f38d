import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readHeaderBlock } from '#src/nats/header-block.js'
import { headerBlock } from '#src/nats/publication.js'

test('a message without an id and headers has no block', () => {
  assert.equal(headerBlock(undefined, []), '')
  assert.equal(headerBlock('7', []), 'NATS/1.0\r\nNats-Msg-Id: 7\r\n\r\n')
  assert.equal(headerBlock(undefined, [['a', 'b']]), 'NATS/1.0\r\na: b\r\n\r\n')
})

test('what is written is read again, or refused before it can break the message in two', () => {
  const name = fc.oneof(fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,9}$/), fc.string())
  const text = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.string({ unit: fc.constantFrom('a', '\r', '\n', ':') }),
  )
  const headers = fc.array(fc.tuple(name, text), { maxLength: 4 })
  fc.assert(
    fc.property(fc.option(text, { nil: undefined }), headers, (id, entries) => {
      const all = id === undefined ? entries : [...entries, ['Nats-Msg-Id', id] as [string, string]]
      let block: string
      try {
        block = headerBlock(id, entries)
      } catch (error) {
        assert.equal((error as { code: string }).code, 'invalid_job')
        const bad = all.some(([key, value]) => !/^[!-9;-~]+$/.test(key) || /[\r\n]/.test(value))
        assert.ok(bad)
        return
      }
      if (all.length === 0) return
      const read = readHeaderBlock(Buffer.from(block))
      assert.deepEqual(
        read.headers,
        all.map(([key, value]) => [key, Buffer.from(value).toString().trim()]),
      )
    }),
  )
})
