import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { jetstream } from '@nats-io/jetstream'
import { connect, headers, type NatsConnection } from '@nats-io/transport-node'
import { startTestServer } from '../support/nats-server.js'
import { tempDir } from '../support/temp-dir.js'
import { startSupervisor } from './supervisor-process.js'

const accounts = readFileSync(
  fileURLToPath(new URL('../../../deploy/nats/accounts.conf', import.meta.url)),
  'utf8',
)

test('with the accounts of deploy/nats, each role can do its work and nothing else', async (t) => {
  // Each user's password is its name.
  const config = accounts.replaceAll(/\$NATS_(\w+)_PASSWORD/g, (_, role: string) => role.toLowerCase())
  const broker = await startTestServer(t, { config })
  const folder = await tempDir(t)
  await writeFile(path.join(folder, 'good.mjs'), 'export default () => {}')
  await writeFile(
    path.join(folder, 'bad.mjs'),
    "export default { retry: { maxAttempts: 2, backoff: { baseMs: 1 } }, run() { throw new Error('no') } }",
  )
  const startAs = (user: string, manage: boolean) =>
    startSupervisor(t, {
      NATS_URL: broker.url,
      NATS_USER: user,
      NATS_PASSWORD: user,
      MILLRACE_HANDLERS: folder,
      MILLRACE_MANAGE: String(manage),
    })

  const first = startAs('admin', true)
  await first.said('"running"')
  assert.equal(await first.stop(), 0)

  const supervisor = startAs('supervisor', false)
  await supervisor.said('"running"')
  const producer = await connectAs(t, broker.url, 'producer', '_INBOX.producer')
  await jetstream(producer).publish('jobs.good', '{}', { msgID: 'one' })
  await jetstream(producer).publish('jobs.bad', '{}')
  await supervisor.said('job completed')
  await supervisor.said('job dead-lettered')
  const later = headers()
  later.set('Millrace-Run-At', new Date(Date.now() + 1_500).toISOString())
  await jetstream(producer).publish('jobs.good', '{}', { msgID: 'later', headers: later })
  await supervisor.said('"job_id":"later","handler":"good","attempt":1')
  const url = /"url":"([^"]+)"/.exec(supervisor.output)![1]!
  assert.equal((await fetch(`${url}/readyz`)).status, 200)
  assert.match(await (await fetch(`${url}/metrics`)).text(), /^millrace_dead_letters\{handler="bad"\} 1$/m)
  assert.equal(await supervisor.stop(), 0)
  const log = await readFile(broker.logFile, 'utf8')
  assert.ok(!/violation/i.test(log), log)

  await refuses(producer, [
    'dead.jobs.good',
    'delayed.jobs.due.jobs.good',
    '$KV.jobs_control.x',
    '$JS.API.STREAM.INFO.JOBS',
  ])
  await refuses(await connectAs(t, broker.url, 'supervisor', '_INBOX.jobs.test'), [
    '$JS.API.STREAM.DELETE.JOBS',
    '$JS.API.STREAM.PURGE.JOBS',
    '$JS.API.STREAM.UPDATE.JOBS',
    '$JS.API.CONSUMER.CREATE.JOBS.x',
  ])
  await refuses(await connectAs(t, broker.url, 'admin', '_INBOX.admin'), [
    '$JS.API.STREAM.DELETE.OTHER',
    '$JS.API.CONSUMER.CREATE.OTHER.JOBS',
  ])
})

async function connectAs(t: TestContext, url: string, user: string, inboxPrefix: string) {
  const nc = await connect({ servers: url, user, pass: user, inboxPrefix })
  t.after(() => nc.close())
  return nc
}

async function refuses(nc: NatsConnection, subjects: readonly string[]): Promise<void> {
  for (const subject of subjects) {
    await assert.rejects(nc.request(subject, '', { timeout: 2_000 }), /Permissions Violation/, subject)
  }
}
