import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { commands } from '#src/cli/commands.js'
import { bashCompletion } from '#src/cli/completion-bash.js'
import { fishCompletion } from '#src/cli/completion-fish.js'
import { zshCompletion } from '#src/cli/completion-zsh.js'
import { tempDir } from '../support/temp-dir.ts'

/** What bash offers after these words; the last one is being typed. */
function offered(t: TestContext, ...words: string[]): string[] | undefined {
  const typed = ['millrace', ...words].map((word) => `'${word}'`).join(' ')
  const script = `${bashCompletion(commands)}
COMP_WORDS=(${typed}); COMP_CWORD=${words.length}; _millrace; printf '%s\\n' "\${COMPREPLY[@]}"`
  const { error, stdout, stderr } = spawnSync('bash', ['--norc', '-c', script], { encoding: 'utf8' })
  if (error) return void t.skip('there is no bash')
  assert.equal(stderr, '')
  return stdout.split('\n').filter((line) => line !== '')
}

test('bash completes commands, flags and the values of flags', (t) => {
  const all = offered(t, '')
  if (!all) return
  for (const { name } of commands) assert.ok(all.includes(name.split(' ')[0]!), name)
  assert.deepEqual(offered(t, 'enq'), ['enqueue'])
  assert.deepEqual(offered(t, 'dead', ''), ['ls', 'show', 'replay', 'discard', 'export'])
  assert.deepEqual(offered(t, 'dead', 'replay', '--d'), ['--dry-run'])
  assert.deepEqual(offered(t, 'dead', 'ls', '--reason', 'ex'), ['exhausted', 'expired'])
  assert.deepEqual(offered(t, 'enqueue', 'a', '--priority', ''), ['high', 'normal', 'low'])
  assert.deepEqual(offered(t, 'enqueue', 'a', '--id', ''), [])
  assert.deepEqual(offered(t, 'completion', 'z'), ['zsh'])
  for (const { name, flags } of commands) {
    const all = offered(t, ...name.split(' '), '--') ?? []
    for (const flag of [...Object.keys(flags), 'json', 'help']) assert.ok(all.includes(`--${flag}`), flag)
  }
})

test('zsh and fish get every command and flag, each word in quotes that hold', () => {
  const zsh = zshCompletion(commands)
  const fish = fishCompletion(commands)
  assert.match(zsh, /^#compdef millrace\n/)
  for (const { name, summary, flags } of commands) {
    const last = name.split(' ').at(-1)!
    assert.ok(zsh.includes(`'${last}:${summary.replaceAll("'", "'\\''")}'`), name)
    assert.ok(fish.includes(`-a ${last} -d '${summary.replaceAll("'", "\\'")}'`), name)
    for (const flag of Object.keys(flags)) {
      assert.ok(zsh.includes(`--${flag}[`), flag)
      assert.ok(fish.includes(` -l ${flag} `), flag)
    }
  }
})

test('the scripts are understood by the shells that are here', async (t) => {
  const folder = await tempDir(t)
  for (const [shell, script] of [
    ['bash', bashCompletion(commands)],
    ['zsh', zshCompletion(commands)],
    ['fish', fishCompletion(commands)],
  ] as const) {
    const file = join(folder, shell)
    writeFileSync(file, script)
    const { error, status, stderr } = spawnSync(shell, ['-n', file], { encoding: 'utf8' })
    if (error) t.diagnostic(`there is no ${shell}`)
    else assert.deepEqual([status, stderr], [0, ''])
  }
})
