import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseInstant } from '#src/core/instant.js'

test('an RFC 3339 instant is read to the millisecond, in every form that there is', () => {
  for (const [text, iso] of [
    ['2026-01-31T12:00:00Z', '2026-01-31T12:00:00.000Z'],
    ['2026-01-31t12:00:00z', '2026-01-31T12:00:00.000Z'],
    ['2026-01-31 12:00:00.5+01:30', '2026-01-31T10:30:00.500Z'],
    ['2024-02-29T23:59:59.123456789-00:00', '2024-02-29T23:59:59.123Z'],
    ['2026-01-01T00:00:00+23:59', '2025-12-31T00:01:00.000Z'],
    ['0049-06-01T00:00:00Z', '0049-06-01T00:00:00.000Z'],
    ['0000-01-01T00:00:00Z', '0000-01-01T00:00:00.000Z'],
    ['9999-12-31T23:59:59.999Z', '9999-12-31T23:59:59.999Z'],
  ] as const) {
    assert.equal(new Date(parseInstant(text)).toISOString(), iso, text)
  }
})

test('days and hours that there are not are no instant, nor is what could not be written again', () => {
  for (const text of [
    '2026-02-30T00:00:00Z',
    '2025-02-29T00:00:00Z',
    '1900-02-29T00:00:00Z',
    '2026-04-31T00:00:00Z',
    '2026-01-00T00:00:00Z',
    '2026-00-01T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-01-01T24:00:00Z',
    '2026-01-01T00:60:00Z',
    '2026-06-30T23:59:60Z',
    '2026-01-01T00:00:00+24:00',
    '2026-01-01T00:00:00+00:60',
    '2026-01-01T00:00:00+0100',
    '2026-01-01T00:00:00',
    '2026-01-01',
    '0000-01-01T00:00:00+00:01',
    '9999-12-31T23:59:59-00:01',
    '2026-01-01T00:00:00Z ',
    '２０２６-01-01T00:00:00Z',
    '1700000000',
    '',
  ]) {
    assert.ok(Number.isNaN(parseInstant(text)), text)
  }
})

test('every instant reads back from its own text, and every text is read as what it says or not at all', () => {
  const years = { min: new Date('0000-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59.999Z') }
  fc.assert(
    fc.property(fc.date({ ...years, noInvalidDate: true }), (date) => {
      assert.equal(parseInstant(date.toISOString()), date.getTime())
    }),
  )
  fc.assert(
    fc.property(
      fc.stringMatching(
        /^[0-9]{4}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{1,9})?(Z|[+-][0-2][0-9]:[0-6][0-9])$/,
      ),
      (text) => {
        const at = parseInstant(text)
        if (Number.isNaN(at)) return
        // The date that was written is the date that is read.
        const utc = parseInstant(`${text.slice(0, 19)}Z`)
        assert.equal(new Date(utc).toISOString().slice(0, 19), text.slice(0, 19).replace(/[t ]/, 'T'))
      },
    ),
    { numRuns: 2_000 },
  )
  fc.assert(fc.property(fc.string(), (text) => Number.isNaN(parseInstant(text)) || /^\d{4}-/.test(text)))
})
