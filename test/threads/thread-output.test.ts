import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const module = fileURLToPath(new URL('../../../dist/threads/thread-output.js', import.meta.url))

test('a flood of log lines is cut at 2,000 a second, and what was dropped is counted', async () => {
  const program = `
    import { writeLine } from ${JSON.stringify(module)}
    let now = 1_000_000
    Date.now = () => now
    for (let at = 0; at < 10_000; at += 1) writeLine('{"at":' + at + '}\\n')
    now += 1_000
    writeLine('{"at":"later"}\\n')
  `
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program])
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  assert.equal(lines.length, 2_002)
  assert.equal(lines[1_999]!['at'], 1_999)
  assert.deepEqual([lines[2_000]!['msg'], lines[2_000]!['dropped']], ['log lines dropped', 8_000])
  assert.equal(lines[2_001]!['at'], 'later')
})
