import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createPainter } from '#src/cli/paint.js'
import { Table, tableOf } from '#src/cli/table.js'
import { cutToWidth, textWidth } from '#src/cli/text-width.js'

test('the widest columns give way when a terminal is too narrow, and the others stay whole', () => {
  const rows = [{ handler: 'a', error: 'x'.repeat(100), seq: 12 }]
  const [titles, line] = tableOf(rows, 40).split('\n')
  assert.equal(line, `a        ${'x'.repeat(25)}…  12`)
  assert.equal(titles, `handler  error${' '.repeat(21)}  seq`)
  assert.equal(tableOf(rows).split('\n')[1]!.length, 113)
})

test('where long texts have given way, titles do before names are cut', () => {
  const rows = [{ handler: 'file.archive', ack_pending: 3, redelivered: 12, dead: 0 }]
  assert.equal(tableOf(rows, 35), 'handler       ack_pen…  rede…  dead\nfile.archive  3         12     0')
})

test('no line is wider than the terminal, whatever is in it', () => {
  const cell = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 60 }), fc.integer(), fc.constant(null))
  const row = fc.record({ first: cell, second: cell, third: cell })
  fc.assert(
    fc.property(
      fc.array(row, { minLength: 1, maxLength: 5 }),
      fc.integer({ min: 1, max: 90 }),
      (rows, width) => {
        const table = new Table(width)
        const lines = [table.add(rows), table.add(rows)].join('\n').split('\n')
        assert.equal(lines.length, 2 * rows.length + 1)
        for (const line of lines) assert.ok(textWidth(line) <= width, JSON.stringify([line, width]))
      },
    ),
  )
})

test('wide characters take two columns, marks none, and none is cut in half', () => {
  assert.deepEqual(['abc', '東京', '🎉', 'e\u0301', ''].map(textWidth), [3, 4, 2, 1, 0])
  assert.equal(cutToWidth('東京都', 5), '東京…')
  assert.equal(cutToWidth('東京都', 6), '東京都')
  assert.equal(cutToWidth('🎉🎉', 3), '🎉…')
  assert.equal(cutToWidth('abc', 2), 'a…')
  assert.equal(cutToWidth('abc', 0), '')
  const rows = [{ a: '東京', b: 'x' }]
  assert.equal(tableOf(rows), 'a     b\n東京  x')
})

test('colours take no room, and are left out where a line has to be cut', () => {
  const rows = [
    { reason: 'exhausted', error: 'x'.repeat(30) },
    { reason: 'cancelled', error: '\u001b[31m' },
  ]
  const paintOf = (title: string, { reason }: Readonly<Record<string, unknown>>) =>
    title === 'reason' && reason === 'exhausted' ? ('red' as const) : undefined
  const style = { painter: createPainter(true), paintOf }
  assert.deepEqual(new Table(30, style).add(rows).split('\n'), [
    '\u001b[1mreason\u001b[0m     \u001b[1merror\u001b[0m',
    `\u001b[31mexhausted\u001b[0m  ${'x'.repeat(18)}…`,
    'cancelled  \\u001b[31m',
  ])
  assert.equal(new Table(12, style).add(rows), new Table(12).add(rows))
})
