import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { AckPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { Kvm } from '@nats-io/kv'
import { connect, headers, type NatsConnection, nanos } from '@nats-io/transport-node'
import { createClient } from '#src/client/index.js'
import { millrace } from '../support/command-line.js'
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
  await writeFile(
    path.join(folder, 'good.mjs'),
    "export default { schedule: { everyMs: 300, overlap: 'skip' }, run() {} }",
  )
  await writeFile(
    path.join(folder, 'bad.mjs'),
    "export default { retry: { maxAttempts: 2, backoff: { baseMs: 1 } }, run() { throw new Error('no') } }",
  )
  await writeFile(path.join(folder, 'sum.mjs'), 'export default { result: true, run: ([a, b]) => a + b }')
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

  // It may make no consumer for the first high job; the administrator does, by hand or with a supervisor.
  const manager = await connectAs(t, broker.url, 'admin', '_INBOX.admin')
  await (await jetstreamManager(manager, { checkAPI: false })).consumers.add('JOBS_HIGH', {
    durable_name: 'good',
    filter_subject: 'high.jobs.good',
    ack_policy: AckPolicy.Explicit,
    ack_wait: nanos(30_000),
    max_deliver: -1,
    max_ack_pending: -1,
    max_waiting: 4096,
  })

  const supervisor = startAs('supervisor', false)
  await supervisor.said('"running"')
  const producer = await connectAs(t, broker.url, 'producer', '_INBOX.producer')
  await jetstream(producer).publish('jobs.good', '{}', { msgID: 'one' })
  await jetstream(producer).publish('jobs.bad', '{}')
  await supervisor.said('job completed')
  await supervisor.said('job dead-lettered')
  await jetstream(producer).publish('high.jobs.good', '{}', { msgID: 'two' })
  await supervisor.said('"job_id":"two"')
  await supervisor.said('tick published')
  const later = headers()
  later.set('Millrace-Run-At', new Date(Date.now() + 1_500).toISOString())
  await jetstream(producer).publish('jobs.good', '{}', { msgID: 'later', headers: later })
  await supervisor.said('"job_id":"later","handler":"good","attempt":1')
  const client = await createClient({
    environment: {},
    servers: broker.url,
    user: 'client',
    password: 'client',
    inboxPrefix: '_INBOX.client',
  })
  t.after(() => client.close())
  const { id } = await client.enqueue('sum', [1, 2])
  const outcome = await client.waitFor(id, { onProgress: () => {} })
  assert.equal(outcome.kind === 'completed' && outcome.result, 3)
  await client.cancel('no such job')
  const url = /"url":"([^"]+)"/.exec(supervisor.output)![1]!
  assert.equal((await fetch(`${url}/readyz`)).status, 200)
  assert.match(await (await fetch(`${url}/metrics`)).text(), /^millrace_dead_letters\{handler="bad"\} 1$/m)
  // An operator pauses and cancels; the supervisor listens, and tidies up.
  const operator = await connectAs(t, broker.url, 'admin', '_INBOX.admin')
  const control = await new Kvm(operator).open('jobs_control')
  await control.put('paused.good', '{}')
  await supervisor.said('handler paused')
  await control.delete('paused.good')
  await supervisor.said('handler resumed')
  await control.put('cancelled.two', '{}')
  await jetstream(producer).publish('jobs.good', '{}', { msgID: 'two' })
  await supervisor.said('"reason":"cancelled"')
  assert.notEqual((await control.get('cancelled.two'))?.operation, 'PUT')
  const env = { NATS_URL: broker.url, NATS_USER: 'admin', NATS_PASSWORD: 'admin' }
  for (const args of [
    ['show', '1'],
    ['replay', '--handler', 'bad'],
    ['export'],
    ['discard', '--reason', 'cancelled'],
  ]) {
    const { code, stderr } = await millrace(['dead', ...args], env)
    assert.equal(code, 0, stderr)
  }
  const supervisorItself = await connectAs(t, broker.url, 'supervisor', '_INBOX.jobs.test')
  for (const subject of ['$JS.API.STREAM.PURGE.KV_jobs_control', '$JS.API.CONSUMER.PAUSE.JOBS.none']) {
    // Allowed; whether the server knows it is another matter. The purge takes nothing.
    const asked = supervisorItself.request(subject, '{"filter":"$KV.jobs_control.none"}', { timeout: 500 })
    await asked.catch((error: unknown) => assert.doesNotMatch(String(error), /Permissions/))
  }
  assert.equal(await supervisor.stop(), 0)
  const log = await readFile(broker.logFile, 'utf8')
  assert.ok(!/violation/i.test(log), log)

  await refuses(await connectAs(t, broker.url, 'client', '_INBOX.client'), [
    '$KV.jobs_results.x',
    '$KV.jobs_control.owners.x',
    '$JS.API.STREAM.MSG.GET.JOBS',
    'delayed.jobs.due.jobs.good',
    '$JS.API.STREAM.INFO.JOBS',
  ])
  await refuses(producer, [
    'dead.jobs.good',
    'delayed.jobs.due.jobs.good',
    '$KV.jobs_control.x',
    '$JS.API.STREAM.INFO.JOBS',
  ])
  await refuses(await connectAs(t, broker.url, 'supervisor', '_INBOX.jobs.test'), [
    '$JS.API.STREAM.DELETE.JOBS',
    '$JS.API.STREAM.DELETE.JOBS_HIGH',
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
