import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { nanos } from '@nats-io/transport-node'
import { millrace } from '../support/command-line.ts'
import { eventually } from '../support/eventually.ts'
import { soundHandlers, World } from '../support/world.ts'

interface Finding {
  level: 'ok' | 'warning' | 'error'
  check: string
  message: string
  remedy: string | null
}

async function createWorld(t: TestContext, options: Parameters<typeof World.create>[1] = {}) {
  const world = await World.create(t, options)
  const settings = { NATS_URL: world.server.url, MILLRACE_HANDLERS: soundHandlers }
  const examine = async (env: Record<string, string> = {}) => {
    const { code, stdout } = await millrace(['doctor', '--json'], { ...settings, ...env })
    const findings = JSON.parse(stdout) as Finding[]
    for (const { level, message, remedy } of findings)
      assert.equal(remedy === null, level === 'ok', `remedy of: ${message}`)
    const of = (wanted: Finding['level']) =>
      findings.filter(({ level }) => level === wanted).map(({ message, remedy }) => `${message} -> ${remedy}`)
    return { code, findings, errors: of('error'), warnings: of('warning') }
  }
  return { world, settings, examine }
}

test('doctor finds nothing wrong with what a supervisor has made, and tells what differs since', async (t) => {
  const { world, settings, examine } = await createWorld(t)
  const { jsm } = world.broker

  const empty = await examine()
  assert.equal(empty.code, 1)
  for (const what of ['stream JOBS', 'stream JOBS_DEAD', 'consumer JOBS/act', 'bucket jobs_control'])
    assert.ok(
      empty.errors.some((error) =>
        error.startsWith(`${what} is missing -> start a supervisor with MILLRACE_MANAGE`),
      ),
      `${what}: ${empty.errors.join('\n')}`,
    )

  const supervisor = await world.supervise()
  const healthy = await examine()
  assert.deepEqual([healthy.code, healthy.errors], [0, []])
  const version = /nats-server \d+\.\d+\.\d+/
  assert.ok(healthy.findings.some(({ check, message }) => check === 'server' && version.test(message)))
  assert.ok(healthy.warnings.some((warning) => /one replica.* -> .*MILLRACE_REPLICAS=3$/.test(warning)))
  assert.ok(healthy.warnings.some((warning) => warning.includes('sync_interval')))
  const people = await millrace(['doctor'], settings)
  assert.equal(people.code, 0)
  assert.match(people.stdout, /^ok +server: nats-server/m)
  assert.match(people.stdout, /^warning +durability: .*\n +-> /m)
  assert.match(people.stderr, /^0 errors, \d+ warnings\n$/)

  // The folder of the examples, which nobody has named.
  const unnamed = await examine({ MILLRACE_HANDLERS: '' })
  assert.deepEqual([unnamed.code, unnamed.errors], [0, []])
  assert.ok(unnamed.warnings.some((warning) => / of dist\/handlers have no consumer -> /.test(warning)))

  await supervisor.stop()
  await world.broker.enqueueAll('act', ['1', '2'])
  await world.broker.enqueue('no.such', '1')
  const waiting = await examine()
  assert.equal(waiting.code, 0)
  assert.ok(
    waiting.warnings.some((warning) => /^1 of no\.such wait.* stream purge JOBS --subject/.test(warning)),
  )
  await eventually('the pulls are over', async () =>
    (await examine()).warnings.some((warning) => warning.startsWith('2 of act wait, and nobody asks')),
  )

  const { config } = await jsm.consumers.info('JOBS', 'act')
  await jsm.consumers.update('JOBS', 'act', { ...config, ack_wait: nanos(7_000) })
  const stream = await jsm.streams.info('JOBS_DEAD')
  await jsm.streams.update('JOBS_DEAD', { ...stream.config, max_age: nanos(5_000_000) })
  await jsm.streams.delete('KV_jobs_attempts')
  await jsm.consumers.delete('JOBS', 'io')
  await jsm.consumers.add('JOBS', {
    durable_name: 'mine',
    filter_subject: 'jobs.io',
    ack_policy: 'explicit' as never,
  })
  const drifted = await examine()
  assert.equal(drifted.code, 1)
  const expected = [
    /^consumer JOBS\/mine takes jobs\.io, .* -> nats consumer rm JOBS mine -f/,
    /^bucket jobs_attempts is missing -> /,
    /^consumer JOBS\/io is missing -> /,
    /^consumer JOBS\/act: ack_wait is 7000000000, expected 30000000000 -> .*MILLRACE_ACK_WAIT_MS/,
    /^stream JOBS_DEAD: max_age is .* -> .*MILLRACE_DEAD_MAX_AGE_MS/,
  ]
  for (const one of expected)
    assert.ok(
      drifted.errors.some((error) => one.test(error)),
      `${one}`,
    )
  assert.equal(drifted.errors.length, expected.length, drifted.errors.join('\n'))
  const adapted = await examine({ MILLRACE_ACK_WAIT_MS: '7000' })
  assert.ok(!adapted.errors.some((error) => error.includes('ack_wait is 7000000000, expected')))

  await jsm.streams.delete('JOBS')
  await jsm.streams.add({ name: 'JOBS', subjects: ['jobs.>'] })
  const conflict = await examine()
  assert.equal(conflict.code, 1)
  assert.ok(conflict.errors.some((error) => /^stream JOBS has retention limits, which cannot/.test(error)))
})

test('wrong settings, a broker that is away and a folder that is missing are errors with their remedies', async () => {
  const run = async (env: Record<string, string>): Promise<[number | null, Finding[]]> => {
    const { code, stdout } = await millrace(['doctor', '--json'], env)
    return [code, JSON.parse(stdout) as Finding[]]
  }
  const [settings, away, folder] = await Promise.all([
    run({ MILLRACE_THREADS: 'many' }),
    run({ NATS_URL: 'nats://127.0.0.1:1' }),
    run({ NATS_URL: 'nats://127.0.0.1:1', MILLRACE_HANDLERS: '/no/such' }),
  ])
  assert.deepEqual([settings[0], away[0], folder[0]], [1, 1, 1])
  assert.match(settings[1][0]!.message, /^MILLRACE_THREADS must be/)
  const last = away[1].at(-1)!
  assert.deepEqual([last.level, last.check], ['error', 'server'])
  assert.match(last.message, /no NATS server answers at nats:\/\/127\.0\.0\.1:1/)
  assert.ok(folder[1].some(({ level, check }) => level === 'error' && check === 'handlers'))
})

test('what the user may not ask is said, and the rest is looked at all the same', async (t) => {
  const user = (name: string, permissions: string) => `{ user: ${name}, password: ${name}${permissions} }`
  const narrow = ', permissions: { publish: { deny: ["$JS.API.INFO", "$JS.ACK.JOBS.>"] } }'
  const serverConfig = `authorization { users: [${user('all', '')}, ${user('some', narrow)}] }`
  const { world, examine } = await createWorld(t, {
    serverConfig,
    connect: { user: 'all', pass: 'all' },
    env: { NATS_USER: 'all', NATS_PASSWORD: 'all' },
  })
  await world.supervise()
  const all = await examine({ NATS_USER: 'all', NATS_PASSWORD: 'all' })
  assert.deepEqual([all.code, all.errors], [0, []])
  const some = await examine({ NATS_USER: 'some', NATS_PASSWORD: 'some' })
  assert.equal(some.code, 1)
  assert.ok(
    some.errors.some((error) => /\$JS\.API\.INFO.* -> give the user of /.test(error)),
    some.errors.join('\n'),
  )
  assert.ok(some.findings.some(({ check, level }) => check === 'topology' && level === 'ok'))
  const [major, minor] = world.broker.nc.info!.version.split('.').map(Number)
  const tells = major! > 2 || minor! >= 10
  assert.equal(
    some.errors.some((error) => error.includes('may not publish $JS.ACK.JOBS.>')),
    tells,
  )
})

test('a consumer that has no leader is named, and its jobs are not called unclaimed', async (t) => {
  const api = '$JS.API.CONSUMER'
  const { world, settings, examine } = await createWorld(t, {
    serverConfig: `mappings {
      "${api}.LIST.JOBS_LOW": "list.waited"
      "${api}.INFO.JOBS_LOW.*": "leaderless.$1"
    }`,
  })
  const { broker } = world
  // As a cluster answers that has waited for the leader in vain.
  const error = { code: 503, err_code: 10008, description: 'JetStream system temporarily unavailable' }
  const answers = {
    'list.waited': { total: 0, offset: 0, limit: 256, consumers: [], missing: ['act', 'email_send'] },
    'leaderless.*': { error },
  }
  for (const [subject, answer] of Object.entries(answers)) {
    broker.nc.subscribe(subject, {
      callback: (_, message) => void message.respond(JSON.stringify(answer)),
    })
  }
  const supervisor = await world.supervise()
  assert.equal((await supervisor.stop()).code, 0)
  await broker.enqueueAll('act', [{ do: 'return' }, { do: 'return' }], { priority: 'low' })
  await broker.enqueue('nobody', {}, { priority: 'low' })

  const { code, errors, warnings } = await examine()
  assert.equal(code, 1)
  assert.deepEqual(
    errors.map((error) => error.replace(/ -> .*, (nats .*)$/, ' -> $1')),
    ['act', 'email_send'].map(
      (name) =>
        `consumer JOBS_LOW/${name}: JetStream system temporarily unavailable -> nats consumer rm JOBS_LOW ${name} -f, and a supervisor makes it anew`,
    ),
  )
  const waits = warnings.filter((warning) => warning.includes(' wait'))
  assert.equal(waits.length, 1, waits.join('\n'))
  assert.match(waits[0]!, /^1 of nobody wait, and no consumer takes them/)
  const { stdout } = await millrace(['status', '--json'], settings)
  const { handlers, stranded } = JSON.parse(stdout) as {
    handlers: { handler: string; pending: number; pulls: number | null }[]
    stranded: number
  }
  const act = handlers.find(({ handler }) => handler === 'act')
  assert.deepEqual([act?.pending, act?.pulls, stranded], [2, null, 0])
})
