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
import { eventually } from '../support/eventually.js'
import { startTestServer } from '../support/nats-server.js'
import { tempDir } from '../support/temp-dir.js'
import { startSupervisor } from './supervisor-process.js'

const accounts = readFileSync(
  fileURLToPath(new URL('../../../deploy/nats/accounts.conf', import.meta.url)),
  'utf8',
)
/** Each user's password is its name. */
const config = accounts.replaceAll(/\$NATS_(\w+)_PASSWORD/g, (_, role: string) => role.toLowerCase())

const handlers: Record<string, string> = {
  good: "export default { schedule: { everyMs: 300, overlap: 'skip' }, run() {} }",
  bad: "export default { retry: { maxAttempts: 2, backoff: { baseMs: 1 } }, run() { throw new Error('no') } }",
  sum: 'export default { result: true, async run([a, b], ctx) { await ctx.progress(1); return a + b } }',
  limited: "export default { pool: 'io', maxInFlight: 2, rateLimit: { jobs: 5, perMs: 200 }, run() {} }",
  hold: "export default { pool: 'io', run: (_, { signal }) => new Promise((_, no) => signal.addEventListener('abort', () => no(new Error('stopped')))) }",
  doze: "let once = true; export default { pool: 'io', run() { if (once) { once = false; throw Object.assign(new Error('later'), { code: 'snooze', delayMs: 50 }) } } }",
}

test('with the accounts of deploy/nats, each role can do all of its work without one refusal', async (t) => {
  const broker = await startTestServer(t, { config })
  const folder = await tempDir(t)
  for (const [name, code] of Object.entries(handlers)) await writeFile(path.join(folder, `${name}.mjs`), code)
  const startAs = (user: string, manage: boolean) =>
    startSupervisor(t, {
      NATS_URL: broker.url,
      NATS_USER: user,
      NATS_PASSWORD: user,
      MILLRACE_HANDLERS: folder,
      MILLRACE_MANAGE: String(manage),
      MILLRACE_ACK_WAIT_MS: '1000',
    })
  const first = startAs('admin', true)
  await first.said('"running"')
  assert.equal(await first.stop(), 0)

  // It may make no consumer for the first high job; the administrator does, by hand or with a supervisor.
  const manager = await connectAs(t, broker.url, 'admin')
  await (await jetstreamManager(manager, { checkAPI: false })).consumers.add('JOBS_HIGH', {
    durable_name: 'good',
    filter_subject: 'high.jobs.good',
    ack_policy: AckPolicy.Explicit,
    ack_wait: nanos(1_000),
    max_deliver: -1,
    max_ack_pending: -1,
    max_waiting: 4096,
  })

  const supervisor = startAs('supervisor', false)
  await supervisor.said('"running"')
  const producer = jetstream(await connectAs(t, broker.url, 'producer'))
  const enqueue = (subject: string, msgID: string, more: Record<string, string> = {}) => {
    const wanted = headers()
    for (const [name, value] of Object.entries(more)) wanted.set(name, value)
    return producer.publish(subject, '{}', { msgID, headers: wanted })
  }
  const soon = new Date(Date.now() + 1_500).toISOString()
  assert.equal((await enqueue('jobs.good', 'one')).stream, 'JOBS')
  assert.equal((await enqueue('jobs.good', 'one')).duplicate, true)
  await enqueue('jobs.bad', 'failing')
  await enqueue('high.jobs.good', 'first')
  await enqueue('jobs.good', 'later', { 'Millrace-Run-At': soon })
  await enqueue('jobs.doze', 'dozing')
  await Promise.all(['a', 'b'].map((id) => enqueue('jobs.good', `key-${id}`, { 'Millrace-Key': 'k' })))
  await Promise.all(Array.from({ length: 12 }, (_, index) => enqueue('jobs.limited', `limited-${index}`)))
  const completed = (id: string, handler: string) =>
    supervisor.said(new RegExp(`"job_id":"${id}","handler":"${handler}",[^\\n]*"msg":"job completed"`))
  await completed('one', 'good')
  await completed('first', 'good')
  await completed('later', 'good')
  await completed('dozing', 'doze')
  await completed('key-a', 'good')
  await completed('key-b', 'good')
  for (let index = 0; index < 12; index++) await completed(`limited-${index}`, 'limited')
  await supervisor.said('job dead-lettered')
  await supervisor.said('tick published')

  const client = await createClient({
    environment: {},
    servers: broker.url,
    user: 'client',
    password: 'client',
    inboxPrefix: '_INBOX.client',
  })
  t.after(() => client.close())
  const { id } = await client.enqueue('sum', [1, 2], { delayMs: 300 })
  const heard: unknown[] = []
  const outcome = await client.waitFor(id, { onProgress: (value) => heard.push(value) })
  assert.equal(outcome.kind === 'completed' && outcome.result, 3)
  await eventually('progress is heard', () => heard.length > 0)
  await client.cancel('no such job')
  await client.enqueue('hold', {}, { id: 'held' })
  await supervisor.said('"job_id":"held","handler":"hold","attempt":1')
  await client.cancel('held')
  await supervisor.said('"reason":"cancelled"')
  await client.pause('good')
  await supervisor.said('handler paused')
  await client.resume('good')
  await supervisor.said('handler resumed')

  const url = /"url":"([^"]+)"/.exec(supervisor.output)![1]!
  assert.equal((await fetch(`${url}/readyz`)).status, 200)
  assert.match(await (await fetch(`${url}/metrics`)).text(), /^millrace_dead_letters\{handler="bad"\} 1$/m)
  for (const move of ['pause', 'resume'])
    assert.equal((await fetch(`${url}/api/handlers/bad/${move}`, { method: 'POST' })).status, 200)

  // An operator pauses and cancels; the supervisor listens, and tidies up.
  const operator = await connectAs(t, broker.url, 'admin')
  const control = await new Kvm(operator).open('jobs_control')
  await control.put('cancelled.two', '{}')
  await enqueue('jobs.good', 'two')
  await supervisor.said(/"job_id":"two"[^\n]*"reason":"cancelled"/)
  assert.notEqual((await control.get('cancelled.two'))?.operation, 'PUT')
  const env = { NATS_URL: broker.url, NATS_USER: 'admin', NATS_PASSWORD: 'admin' }
  const settings = { ...env, MILLRACE_HANDLERS: folder, MILLRACE_ACK_WAIT_MS: '1000' }
  for (const command of [['status'], ['retries', 'ls'], ['doctor']]) {
    const { code, stdout, stderr } = await millrace(command, settings)
    assert.equal(code, 0, stdout + stderr)
  }
  for (const args of [
    ['show', '1'],
    ['replay', '--handler', 'bad'],
    ['export'],
    ['discard', '--reason', 'cancelled'],
  ]) {
    const { code, stderr } = await millrace(['dead', ...args], env)
    assert.equal(code, 0, stderr)
  }

  // Who may write one entry of the bucket cannot sweep the others away by a header.
  const sweep = headers()
  sweep.set('Nats-Rollup', 'all')
  const sweeper = jetstream(await connectAs(t, broker.url, 'client'))
  await assert.rejects(sweeper.publish('$KV.jobs_control.paused.x', '', { headers: sweep }), /rollup/)

  // The connection is lost with a job in hand, and the supervisor comes back to it.
  await client.enqueue('hold', {}, { id: 'held-2' })
  await supervisor.said('"job_id":"held-2","handler":"hold","attempt":1')
  await broker.restart()
  await supervisor.said('reconnected to NATS')
  await eventually('it is ready again', async () => (await fetch(`${url}/readyz`)).status === 200)
  // Where the outage outlasted the lease, the job waits for its turn again before it runs.
  await eventually('it is said where the job runs', async () => {
    const { stdout } = await millrace(['where', 'held-2'], env)
    return /^hold held-2, attempt \d of 5\n/.test(stdout)
  })
  await client.cancel('held-2')
  await supervisor.said(/"job_id":"held-2"[^\n]*"reason":"cancelled"/)

  const supervisorItself = await connectAs(t, broker.url, 'supervisor')
  for (const subject of ['$JS.API.STREAM.PURGE.KV_jobs_control', '$JS.API.CONSUMER.PAUSE.JOBS.none']) {
    // Allowed; whether the server knows it is another matter. The purge takes nothing.
    const asked = supervisorItself.request(subject, '{"filter":"$KV.jobs_control.none"}', { timeout: 500 })
    await asked.catch((error: unknown) => assert.doesNotMatch(String(error), /Permissions/))
  }
  assert.equal(await supervisor.stop(), 0)
  const log = await readFile(broker.logFile, 'utf8')
  assert.ok(!/violation/i.test(log), log)
})

/** What each role may not publish to: everything that would read, forge or destroy what is not its own. */
const refused: Record<string, readonly string[]> = {
  producer: [
    'dead.jobs.good',
    'delayed.jobs.due.jobs.good',
    'ticks.jobs.good',
    'events.jobs.good.completed',
    'asks.jobs.where',
    'answers.jobs.x',
    '$KV.jobs_control.paused.good',
    '$KV.jobs_attempts.JOBS.1',
    '$KV.jobs_results.x',
    '$JS.ACK.JOBS.good.1.1.1.1.1',
    '$JS.API.INFO',
    '$JS.API.STREAM.NAMES',
    '$JS.API.STREAM.INFO.JOBS',
    '$JS.API.STREAM.PURGE.JOBS',
    '$JS.API.STREAM.MSG.GET.JOBS',
    '$JS.API.DIRECT.GET.JOBS.jobs.good',
    '$JS.API.CONSUMER.CREATE.JOBS.x',
    '$JS.API.CONSUMER.MSG.NEXT.JOBS.good',
  ],
  client: [
    'dead.jobs.good',
    'delayed.jobs.due.jobs.good',
    'ticks.jobs.good',
    'events.jobs.good.progress',
    'asks.jobs.where',
    'answers.jobs.x',
    '$KV.jobs_results.x',
    '$KV.jobs_control.owners.x',
    '$KV.jobs_control.limits.x',
    '$JS.ACK.JOBS.good.1.1.1.1.1',
    '$JS.API.STREAM.INFO.JOBS',
    '$JS.API.STREAM.MSG.GET.JOBS',
    '$JS.API.STREAM.MSG.GET.JOBS_DEAD',
    '$JS.API.STREAM.PURGE.KV_jobs_control',
    '$JS.API.CONSUMER.CREATE.KV_jobs_results.x',
    '$JS.API.CONSUMER.MSG.NEXT.JOBS.good',
  ],
  supervisor: [
    '$JS.API.STREAM.CREATE.OTHER',
    '$JS.API.STREAM.NAMES',
    '$JS.API.STREAM.DELETE.JOBS',
    '$JS.API.STREAM.DELETE.JOBS_HIGH',
    '$JS.API.STREAM.PURGE.JOBS',
    '$JS.API.STREAM.PURGE.JOBS_DEAD',
    '$JS.API.STREAM.UPDATE.JOBS',
    '$JS.API.STREAM.UPDATE.KV_jobs_control',
    '$JS.API.STREAM.MSG.DELETE.JOBS',
    '$JS.API.STREAM.MSG.DELETE.JOBS_DEAD',
    '$JS.API.STREAM.SNAPSHOT.JOBS',
    '$JS.API.STREAM.INFO.OTHER',
    '$JS.API.STREAM.MSG.GET.OTHER',
    '$JS.API.DIRECT.GET.JOBS.jobs.good',
    '$JS.API.CONSUMER.CREATE.JOBS.x',
    '$JS.API.CONSUMER.CREATE.JOBS_DEAD.x',
    '$JS.API.CONSUMER.CREATE.KV_jobs_results.x',
    '$JS.API.CONSUMER.DURABLE.CREATE.JOBS.x',
    '$JS.API.CONSUMER.DELETE.JOBS.good',
    '$JS.API.CONSUMER.MSG.NEXT.OTHER.x',
    '$JS.ACK.OTHER.x.1.1.1.1.1',
    'asks.jobs.where',
    '$KV.jobs_control.else',
    '$KV.other.x',
  ],
  admin: [
    '$JS.API.STREAM.DELETE.OTHER',
    '$JS.API.STREAM.MSG.GET.OTHER',
    '$JS.API.CONSUMER.CREATE.OTHER.JOBS',
    '$JS.API.CONSUMER.MSG.NEXT.OTHER.x',
    '$KV.other.x',
    'other',
  ],
}

/** What each role may not listen to. */
const unheard: Record<string, readonly string[]> = {
  producer: [
    '>',
    'jobs.>',
    '_INBOX.>',
    '_INBOX.jobs.>',
    '$JS.ACK.>',
    '$KV.jobs_results.>',
    'events.jobs.>',
    'asks.jobs.>',
    'answers.jobs.>',
    'dead.>',
  ],
  client: [
    '>',
    'jobs.>',
    '_INBOX.>',
    '_INBOX.jobs.>',
    '_INBOX.producer.>',
    '$KV.jobs_control.>',
    'asks.jobs.>',
    'answers.jobs.>',
    'dead.jobs.>',
  ],
  supervisor: [
    '>',
    'jobs.>',
    '_INBOX.>',
    '_INBOX.client.>',
    '_INBOX.admin.>',
    '$KV.>',
    'dead.jobs.>',
    'answers.jobs.>',
  ],
  admin: ['>', 'jobs.>', '_INBOX.>', '_INBOX.client.>', '_INBOX.producer.>', '$SYS.>'],
}

test('with the accounts of deploy/nats, each role is refused everything else', async (t) => {
  const broker = await startTestServer(t, { config })
  for (const [role, subjects] of Object.entries(refused)) {
    const nc = await connectAs(t, broker.url, role)
    for (const subject of subjects)
      await assert.rejects(
        nc.request(subject, '', { timeout: 2_000 }),
        /Permissions Violation/,
        `${role} ${subject}`,
      )
    for (const subject of unheard[role]!) {
      const subscription = nc.subscribe(subject)
      const closed = subscription.closed.then((reason) => reason ?? 'no reason')
      assert.match(String(await closed), /Permissions Violation/, `${role} hears ${subject}`)
    }
  }
})

test('a producer cannot have the answer to a job written where it may not write itself', async (t) => {
  const broker = await startTestServer(t, { config })
  const admin = await connectAs(t, broker.url, 'admin')
  const manager = await jetstreamManager(admin, { checkAPI: false })
  await manager.streams.add({ name: 'JOBS', subjects: ['jobs.>'] })
  await new Kvm(admin).create('jobs_control')
  const producer = await connectAs(t, broker.url, 'producer')
  const held = async (stream: string) => (await manager.streams.info(stream)).state.messages
  const replies = [
    '$JS.API.STREAM.PURGE.JOBS',
    '$JS.API.STREAM.MSG.DELETE.JOBS',
    '$KV.jobs_control.paused.good',
    'jobs.another',
    '_INBOX.admin.x',
  ]
  const told: unknown[] = []
  admin.subscribe('_INBOX.admin.x', { callback: (...heard) => void told.push(heard) })
  await admin.flush()
  for (const [index, reply] of replies.entries()) {
    producer.publish('jobs.good', '{}', { reply })
    await eventually(`${reply} is stored`, async () => (await held('JOBS')) >= index + 1)
  }
  // The last answer of all comes after those before it.
  await jetstream(producer).publish('jobs.good', '{}')
  assert.equal(await held('JOBS'), replies.length + 1)
  assert.equal(await held('KV_jobs_control'), 0)
  assert.deepEqual(told, [])
})

async function connectAs(t: TestContext, url: string, user: string) {
  const inboxPrefix = user === 'supervisor' ? '_INBOX.jobs.test' : `_INBOX.${user}`
  const nc: NatsConnection = await connect({
    servers: url,
    user,
    pass: user,
    inboxPrefix,
    maxReconnectAttempts: -1,
  })
  t.after(() => nc.close())
  return nc
}
