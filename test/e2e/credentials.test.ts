import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { nkeys } from '@nats-io/transport-node'
import { createOperatorMode } from '../nats/jwt.ts'
import { eventually } from '../support/eventually.ts'
import { JetStreamView } from '../support/jetstream-view.ts'
import { startTestServer } from '../support/nats-server.ts'
import { Supervisor } from '../support/supervisor.ts'
import { tempDir } from '../support/temp-dir.ts'
import { soundHandlers } from '../support/world.ts'

const calm = { MILLRACE_HANDLERS: soundHandlers, MILLRACE_HTTP_PORT: '0', MILLRACE_JOB_LOGS: 'all' }
const completed = (supervisor: Supervisor, id: string) =>
  supervisor.line((line) => line.msg === 'job completed' && line['job_id'] === id)

test('an nkey that is replaced on disk is used when the server wants the new one', async (t) => {
  const [one, two] = [nkeys.createUser(), nkeys.createUser()]
  const dir = await tempDir(t)
  const file = join(dir, 'seed')
  const renew = (keys: typeof one): void => {
    writeFileSync(file, keys.getSeed())
    const users = `[ { nkey: ${keys.getPublicKey()} }, { user: test, password: test } ]`
    writeFileSync(join(dir, 'users.conf'), `authorization { users: ${users} }\n`)
  }
  renew(one)
  const server = await startTestServer(t, { config: `include "../${basename(dir)}/users.conf"\n` })
  const E2E_LEDGER = join(dir, 'ledger.jsonl')
  const supervisor = new Supervisor({ NATS_URL: server.url, NATS_NKEY_FILE: file, E2E_LEDGER, ...calm })
  t.after(() => supervisor.kill())
  await supervisor.ready()
  const broker = await JetStreamView.connect(server.url, 'jobs', { user: 'test', pass: 'test' })
  t.after(() => broker.nc.close())
  await completed(supervisor, await broker.enqueue('act', { do: 'return' }))

  renew(two)
  await server.restart()
  await supervisor.line('reconnected to NATS')
  await completed(supervisor, await broker.enqueue('act', { do: 'return' }))
  assert.equal((await supervisor.stop()).code, 0)
  for (const keys of [one, two])
    assert.ok(!supervisor.output.includes(new TextDecoder().decode(keys.getSeed())))
})

test('a creds file that is replaced before its user expires costs one reconnection', async (t) => {
  const { config, creds, credsFor } = createOperatorMode()
  const server = await startTestServer(t, { config })
  const file = join(await tempDir(t), 'user.creds')
  writeFileSync(file, credsFor(15))
  const supervisor = new Supervisor({ NATS_URL: server.url, NATS_CREDS: file, ...calm })
  t.after(() => supervisor.kill())
  await supervisor.ready()
  writeFileSync(file, creds)
  // The server shows expired users the door by itself.
  await supervisor.line('reconnected to NATS', 60_000)
  await eventually('it is ready again', async () => (await supervisor.get('/readyz')).status === 200)
  assert.equal(supervisor.lines.filter(({ msg }) => msg === 'reconnected to NATS').length, 1)
  assert.equal((await supervisor.stop()).code, 0)
})
