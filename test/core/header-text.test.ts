import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { headerText, headerTextWithin } from '#src/core/header-text.js'

const texts = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 3_000 }),
  fc
    .array(
      fc.constantFrom(
        '\r\n',
        '\0',
        '\u007f',
        '\u0085',
        '\u2028',
        '\u2029',
        '\t',
        'x',
        '…',
        '😀',
        '\ud800',
        ' ',
      ),
    )
    .map((parts) => parts.join('')),
)

test('what could end a header or forge another one becomes a space', () => {
  assert.equal(headerText('a\r\nNats-Rollup: all\0b\u2028c\u007fd'), 'a Nats-Rollup: all b c d')
})

test('what is too long is cut and marked', () => {
  assert.equal(headerText('x'.repeat(20), 10), `${'x'.repeat(9)}…`)
  assert.equal(headerText('x'.repeat(10), 10), 'x'.repeat(10))
})

test('header text never holds a control character and fits its length', () => {
  fc.assert(
    fc.property(texts, fc.integer({ min: 1, max: 2_000 }), (text, limit) => {
      const made = headerText(text, limit)
      assert.doesNotMatch(made, /[\p{Cc}\u2028\u2029]/u)
      assert.ok(made.length <= limit)
    }),
  )
})

test('header text within bytes fits its bytes as UTF-8', () => {
  fc.assert(
    fc.property(texts, fc.integer({ min: 1, max: 2_000 }), (text, limitBytes) => {
      const made = headerTextWithin(text, limitBytes)
      assert.doesNotMatch(made, /[\p{Cc}\u2028\u2029]/u)
      assert.ok(Buffer.byteLength(made) <= limitBytes, `${Buffer.byteLength(made)} > ${limitBytes}`)
    }),
    {
      examples: [
        ['…', 1],
        ['😀😀', 5],
      ],
    },
  )
})

test('text that fits its bytes is not shortened', () => {
  assert.equal(headerTextWithin('grüße 😀', 12), 'grüße 😀')
})
