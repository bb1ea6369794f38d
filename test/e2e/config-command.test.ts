import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { settingNames, settingTable } from '#src/config/table.js'
import { millrace } from '../support/command-line.ts'
import { startTestServer } from '../support/nats-server.ts'
import { tempDir } from '../support/temp-dir.ts'

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

test('commands connect by a context of the nats CLI, and the environment comes before it', async (t) => {
  const config = 'authorization { user: sam, password: hush }'
  const [home, server] = await Promise.all([tempDir(t), startTestServer(t, { config })])
  const folder = join(home, '.config/nats/context')
  mkdirSync(folder, { recursive: true })
  const context = { url: server.url, user: 'sam', password: 'hush' }
  writeFileSync(join(folder, 'orders.json'), JSON.stringify(context))
  const env = { HOME: home }

  const flag = await millrace(['status', '--json', '--context', 'orders'], env)
  assert.equal(flag.code, 0, flag.stderr)
  const variable = await millrace(['schedules', 'ls', '--json'], { ...env, NATS_CONTEXT: 'orders' })
  assert.equal(variable.code, 0, variable.stderr)
  const diagnosis = await millrace(['doctor', '--context', 'orders', '--json'], env)
  assert.match(diagnosis.stdout, /"message":"nats-server \d/)
  const away = { ...env, NATS_URL: 'nats://127.0.0.1:1' }
  assert.equal((await millrace(['status', '--context', 'orders'], away)).code, 4)
  const wrong = { ...env, NATS_USER: 'sam', NATS_PASSWORD: 'not that' }
  const refused = await millrace(['status', '--context', 'orders'], wrong)
  assert.equal(refused.code, 1)
  const shown = await millrace(['config', '--context', 'orders'], env)
  assert.match(shown.stdout, /^NATS_PASSWORD +\*\*\* +context orders$/m)
  const missing = await millrace(['status', '--context', 'ordres'], env)
  assert.equal(missing.code, 1)
  assert.match(missing.stderr, /^error: there is no nats context "ordres" .* did you mean orders\?\n$/)
})
