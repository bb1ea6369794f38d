import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { test } from 'node:test'

const root = path.resolve(import.meta.dirname, '../../..')

const refused: Record<string, [words: string[], why: RegExp]> = {
  'an option that there is not': [['--fast'], /'--fast'[\s\S]*usage: npm run bench/],
  'no whole number': [['--rounds', '0'], /--rounds must be a whole number above 0, got 0/],
  'a Node that cannot be run': [['--node', '/nowhere/node'], /--node \/nowhere\/node cannot be run/],
  'a report that cannot be written': [['--json', root], /--json .* cannot be written/],
  'a page from a quick run': [['--write-docs', '--quick'], /--write-docs needs every scenario/],
  'a page from some contestants': [
    ['--write-docs', '--with', 'millrace'],
    /--write-docs needs every scenario/,
  ],
  'a page from few rounds': [['--write-docs', '--rounds', '2'], /3 rounds or more/],
  'going on with what is not kept': [['--quick', '--resume'], /--quick keeps no runs/],
}

for (const [name, [words, why]] of Object.entries(refused)) {
  test(`before anything starts npm run bench refuses ${name}`, () => {
    const { status, stdout, stderr } = bench(...words)
    assert.match(stderr, why)
    // A message for people, and nothing was set up.
    assert.doesNotMatch(stderr, /^ {4}at |^·/m)
    assert.deepEqual([status, stdout], [1, ''])
  })
}

function bench(...words: string[]) {
  return spawnSync(process.execPath, [path.join(root, 'scripts', 'bench.mjs'), ...words], {
    encoding: 'utf8',
  })
}
