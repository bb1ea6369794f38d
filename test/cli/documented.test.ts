import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { commands } from '#src/cli/commands.js'

const page = readFileSync(new URL('../../../docs/command-line.md', import.meta.url), 'utf8')

test('docs/command-line.md has a row for every command, and no other', () => {
  const [, table = ''] = /\n\| Command \| Does \| stdout \|\n\|[-|]+\n((?:\|.*\n)+)/.exec(page) ?? []
  const names = table.split('\n').flatMap((row) => {
    const [, first = ''] = row.split(/(?<!\\)\|/)
    return [...first.matchAll(/`([a-z ]+?)(?: [<[].*?)?`/g)].map(([, name]) => name!)
  })
  assert.deepEqual(names.toSorted(), commands.map(({ name }) => name).toSorted())
})

test('docs/command-line.md names every flag of every command', () => {
  for (const { name, flags } of commands) {
    for (const flag of Object.keys(flags)) assert.ok(page.includes(`\`--${flag}`), `--${flag} of ${name}`)
  }
})
