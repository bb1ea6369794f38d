import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readArguments } from '#src/cli/arguments.js'
import type { Command } from '#src/cli/command.js'
import { commands } from '#src/cli/commands.js'
import { readDuration } from '#src/cli/duration.js'
import { helpFor, helpForAll } from '#src/cli/help.js'
import { tableOf } from '#src/cli/table.js'

const command: Command = {
  name: 'try',
  arguments: '<a> [b]',
  takes: [1, 2],
  summary: 'try it',
  flags: {
    key: { value: '<key>', help: 'a key' },
    header: { value: '<Name:value>', multiple: true, help: 'a header' },
  },
  example: 'millrace try',
  run: async () => 0,
}

function refused(words: string[], message: RegExp): void {
  assert.throws(() => readArguments(command, words), { code: 'invalid_arguments', message })
}

test('arguments and flags may stand in any order', () => {
  const typed = readArguments(command, [
    '--key=k',
    'one',
    '--header',
    'a:b',
    '-',
    '--header',
    'c:--d',
    '--json',
  ])
  assert.deepEqual(typed.positionals, ['one', '-'])
  assert.equal(typed.text('key'), 'k')
  assert.deepEqual(typed.texts('header'), ['a:b', 'c:--d'])
  assert.equal(typed.json, true)
  assert.equal(typed.help, false)
  assert.deepEqual(readArguments(command, ['--', '-1']).positionals, ['-1'], 'a negative number after --')
})

test('what was mistyped is named, with the nearest that exists', () => {
  refused(['a', '--kee', 'k'], /--kee is not a flag of millrace try, did you mean --key\?/)
  refused(['a', '--unheard-of-entirely'], /is not a flag of millrace try; see millrace try --help/)
  refused(['a', '-k', 'k'], /-k is not a flag/)
  refused(['a', '--toString'], /--toString is not a flag/)
  refused(['a', '--key'], /--key needs a value: --key <key>/)
  refused(['a', '--json=yes'], /--json takes no value, got "yes"/)
  refused(['a', '--key', '1', '--key', '2'], /--key is given twice/)
  refused([], /something is missing: millrace try <a> \[b\]/)
  refused(['a', 'b', 'c'], /"c" is one argument too many/)
})

test('help is given whatever else is missing', () => {
  assert.equal(readArguments(command, ['--help']).help, true)
})

test('durations have one unit, and no other form is guessed at', () => {
  const read = (text: string) => readDuration('--in', text)
  assert.deepEqual(
    [read('500ms'), read('2s'), read('5m'), read('1h'), read('0s')],
    [500, 2_000, 300_000, 3_600_000, 0],
  )
  for (const text of ['', '5', '5 s', '1.5h', '-5m', '1d', '5M', '1h30m'])
    assert.throws(() => read(text), {
      code: 'invalid_arguments',
      message: /--in must be a duration such as 500ms/,
    })
})

test('every command has help with an example of itself, and stands in the list', () => {
  const all = helpForAll(commands)
  for (const each of commands) {
    assert.ok(all.includes(`  ${each.name} `), each.name)
    const help = helpFor(each)
    assert.match(help, new RegExp(`^usage: millrace ${each.name}`))
    assert.match(help, new RegExp(`Example:\n.*millrace ${each.name}`))
    for (const flag of Object.keys(each.flags))
      assert.ok(help.includes(`--${flag}`), `${each.name} --${flag}`)
    assert.ok(help.split('\n').every((line) => line.length <= 120))
  }
})

test('a table has its columns below their titles', () => {
  const rows = [
    { schedule: 'a', state: null },
    { schedule: 'long.name', state: 'done' },
  ]
  assert.equal(tableOf(rows), 'schedule   state\na          -\nlong.name  done')
})
