import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settingNames, settingTable } from '#src/config/table.js'
import { millrace } from '../support/command-line.ts'

test('config shows every setting with its source, and no secret, without a broker', async () => {
  const env = {
    NATS_URL: 'nats://sam:hush@127.0.0.1:1',
    MILLRACE_THREADS: '4',
    MILLRACE_HTTP_TOKEN: 'a-token-that-is-long-enough',
    MILLRACE_HTTP_PORT: 'off',
  }
  const [json, people, wrong] = await Promise.all([
    millrace(['config', '--json'], env),
    millrace(['config'], env),
    millrace(['config'], { MILLRACE_THREADS: 'many', MILLRACE_THREDS: '4' }),
  ])
  assert.equal(json.code, 0)
  const rows = JSON.parse(json.stdout) as { name: string; value: unknown; source: string }[]
  assert.deepEqual(
    rows.map(({ name }) => name),
    settingNames.map((name) => settingTable[name].variable),
  )
  assert.deepEqual(Object.keys(rows[0]!), ['name', 'value', 'source'])
  const of = (name: string) => {
    const { value, source } = rows.find((row) => row.name === name)!
    return [value, source]
  }
  assert.deepEqual(of('NATS_URL'), ['nats://127.0.0.1:1', 'env'])
  assert.deepEqual(of('NATS_USER'), ['sam', 'env'])
  assert.deepEqual(of('NATS_PASSWORD'), ['***', 'env'])
  assert.deepEqual(of('NATS_TOKEN'), [null, 'default'])
  assert.deepEqual(of('MILLRACE_HTTP_TOKEN'), ['***', 'env'])
  assert.deepEqual(of('MILLRACE_THREADS'), [4, 'env'])
  assert.deepEqual(of('MILLRACE_MAX_ATTEMPTS'), [5, 'default'])

  assert.match(people.stdout, /^name +value +source\n/)
  assert.match(people.stdout, /^NATS_USER +sam +env NATS_URL$/m)
  assert.match(people.stdout, /^MILLRACE_HTTP_PORT +off +env$/m)
  for (const { stdout, stderr } of [json, people]) assert.doesNotMatch(stdout + stderr, /hush|a-token/)

  assert.deepEqual([wrong.code, wrong.stdout], [1, ''])
  assert.match(wrong.stderr, /MILLRACE_THREADS must be/)
  assert.match(wrong.stderr, /MILLRACE_THREDS is not a setting, did you mean MILLRACE_THREADS\?/)
})
