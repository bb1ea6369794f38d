import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { tableOf } from '#src/cli/table.js'
import { terminalLines, terminalText } from '#src/cli/terminal-text.js'

test('what would move a terminal is shown instead', () => {
  assert.equal(
    terminalText('a\u001b[2Jb\u009b2J\r\n\u0007\u007f'),
    'a\\u001b[2Jb\\u009b2J\\u000d\\u000a\\u0007\\u007f',
  )
  assert.equal(terminalText('Grüße, 東京 🎉'), 'Grüße, 東京 🎉')
  assert.equal(terminalText('a\u202ecod'), 'a\\u202ecod')
  assert.equal(terminalLines('one\ntwo\u001b'), 'one\ntwo\\u001b')
})

test('JSON says the same afterwards', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.string({ unit: 'binary' }), (value, text) => {
      const json = JSON.stringify({ value, text })
      const shown = terminalLines(json)
      assert.deepEqual(JSON.parse(shown), JSON.parse(json))
      assert.doesNotMatch(shown, /\p{Cc}/u)
    }),
  )
})

test('a cell of a table cannot forge a row', () => {
  const lines = tableOf([{ schedule: 'a\nforged  row', state: '\u001b[31m' }]).split('\n')
  assert.equal(lines.length, 2)
  assert.equal(lines[1], 'a\\u000aforged  row  \\u001b[31m')
})
