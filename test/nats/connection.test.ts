import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { nkeys } from '@nats-io/transport-node'
import { readSettings } from '#src/config/settings.js'
import { MillraceError } from '#src/core/errors.js'
import { type BrokerConnection, type ConnectionEvent, connectBroker } from '#src/nats/connection.js'
import { MessageParser } from '#src/nats/message-parser.js'
import { linkTo } from '../support/link.ts'
import { startTestServer } from '../support/nats-server.ts'
import { tempDir } from '../support/temp-dir.ts'
import { until } from '../support/until.ts'
import { createCertificates, tlsConfig, unlessOpenssl } from './certificates.ts'
import { startFakeServer } from './fake-server.ts'
import { createOperatorMode } from './jwt.ts'

type Kind = ConnectionEvent['kind']

interface Link {
  readonly connection: BrokerConnection
  readonly events: readonly ConnectionEvent[]
  kinds(): Kind[]
}

async function link(
  t: TestContext,
  environment: Record<string, string>,
  more: { signal?: AbortSignal; onEvent?: (event: ConnectionEvent) => void } = {},
): Promise<Link> {
  const { settings } = readSettings({ environment: { MILLRACE_STARTUP_MS: '5000', ...environment } })
  const events: ConnectionEvent[] = []
  const connection = await connectBroker(settings, {
    supervisorId: 'test',
    signal: more.signal ?? new AbortController().signal,
    onEvent(event) {
      events.push(event)
      more.onEvent?.(event)
    },
  })
  t.after(() => connection.close())
  return { connection, events, kinds: () => events.map((event) => event.kind) }
}

async function failure(promise: Promise<unknown>): Promise<MillraceError> {
  const error = await promise.then(
    () => assert.fail('connected'),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof MillraceError, String(error))
  return error
}

async function unusedUrl(): Promise<string> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  assert.ok(address !== null && typeof address === 'object')
  return `nats://127.0.0.1:${address.port}`
}

const user = (password: string) => `authorization { user: ann, password: "${password}" }\n`

test('a connection knows the server, names itself and has an inbox nobody can guess', async (t) => {
  const server = await startTestServer(t, {})
  const { connection, events } = await link(t, { NATS_URL: server.url })
  assert.equal(connection.connected, true)
  assert.equal(connection.epoch, 1)
  assert.equal(connection.reconnects, 0)
  const { major, minor, patch } = connection.version
  assert.equal(`${major}.${minor}.${patch}`, server.version)
  const { options } = connection.nc as unknown as { options: { inboxPrefix: string; name: string } }
  assert.equal(options.inboxPrefix, connection.inboxPrefix)
  assert.match(options.inboxPrefix, /^_INBOX\.jobs\.[0-9a-f]{24}$/)
  assert.equal(options.name, 'millrace/test')
  const { protocol } = connection.nc as unknown as { protocol: { parser: unknown } }
  assert.ok(protocol.parser instanceof MessageParser)
  await connection.close()
  await connection.close()
  assert.equal(connection.connected, false)
  assert.deepEqual(events, [{ kind: 'closed', error: undefined }])
})

test('user and password, from their own settings, a file or the URL', async (t) => {
  const server = await startTestServer(t, { config: user('p@ss 1') })
  const file = join(await tempDir(t), 'password')
  writeFileSync(file, 'p@ss 1\n')
  for (const environment of [
    { NATS_URL: server.url, NATS_USER: 'ann', NATS_PASSWORD: 'p@ss 1' },
    { NATS_URL: server.url, NATS_USER: 'ann', NATS_PASSWORD_FILE: file },
    { NATS_URL: server.url.replace('://', '://ann:p%40ss%201@') },
  ]) {
    const { connection } = await link(t, environment)
    assert.equal(connection.connected, true)
  }
})

test('a token, from its own setting or the URL', async (t) => {
  const server = await startTestServer(t, { config: 'authorization { token: "t0ken" }\n' })
  for (const environment of [
    { NATS_URL: server.url, NATS_TOKEN: 't0ken' },
    { NATS_URL: server.url.replace('://', '://t0ken@') },
  ]) {
    assert.equal((await link(t, environment)).connection.connected, true)
  }
})

test('an nkey seed', async (t) => {
  const keys = nkeys.createUser()
  const server = await startTestServer(t, {
    config: `authorization { users: [ { nkey: ${keys.getPublicKey()} } ] }\n`,
  })
  const { connection } = await link(t, {
    NATS_URL: server.url,
    NATS_NKEY: Buffer.from(keys.getSeed()).toString(),
  })
  assert.equal(connection.connected, true)
})

test('a creds file, whatever its line ends', async (t) => {
  const { config, creds } = createOperatorMode()
  const server = await startTestServer(t, { config })
  const file = join(await tempDir(t), 'user.creds')
  for (const contents of [creds, creds.trimEnd(), creds.replaceAll('\n', '\r\n')]) {
    writeFileSync(file, contents)
    const { connection } = await link(t, { NATS_URL: server.url, NATS_CREDS: file })
    assert.equal(connection.connected, true)
  }
})

test('credentials that cannot be used are a wrong setting, and never shown', async (t) => {
  const file = join(await tempDir(t), 'user.creds')
  writeFileSync(file, 's3cret')
  const server = await startTestServer(t, {})
  const wrongSeed = `SU${'A'.repeat(56)}`
  for (const environment of [{ NATS_CREDS: file }, { NATS_NKEY: wrongSeed }]) {
    const error = await failure(link(t, { NATS_URL: server.url, ...environment }))
    assert.equal(error.code, 'invalid_settings')
    assert.match(error.message, /NATS_(CREDS|NKEY)/)
    assert.doesNotMatch(error.message, /s3cret|SUAAA/)
  }
})

test('TLS with an authority of our own, and with a client certificate', {
  skip: unlessOpenssl,
}, async (t) => {
  const files = createCertificates(await tempDir(t))
  const plain = await startTestServer(t, { config: tlsConfig(files, false) })
  const mutual = await startTestServer(t, { config: tlsConfig(files, true) })

  const { connection } = await link(t, { NATS_URL: plain.url, NATS_CA: files.ca })
  assert.equal(connection.connected, true)
  const client = { NATS_CA: files.ca, NATS_CERT: files.clientCert, NATS_KEY: files.clientKey }
  assert.equal((await link(t, { NATS_URL: mutual.url, ...client })).connection.connected, true)

  const elsewhere = await failure(
    link(t, {
      NATS_URL: plain.url.replace('127.0.0.1', 'localhost'),
      NATS_CA: files.ca,
      MILLRACE_STARTUP_MS: '0',
    }),
  )
  assert.match(elsewhere.message, /not trusted .*Hostname/, 'the certificate is for the address only')
  const distrusted = await failure(link(t, { NATS_URL: plain.url, MILLRACE_STARTUP_MS: '0' }))
  assert.equal(distrusted.code, 'broker_unreachable')
  assert.match(distrusted.message, /not trusted .*set NATS_CA/)
  const anonymous = await failure(
    link(t, { NATS_URL: mutual.url, NATS_CA: files.ca, MILLRACE_STARTUP_MS: '0' }),
  )
  assert.match(anonymous.message, /check NATS_CERT and NATS_KEY/)
})

test('asking for TLS where there is none is refused, never downgraded', async (t) => {
  const server = await startTestServer(t, {})
  const error = await failure(
    link(t, { NATS_URL: server.url.replace('nats:', 'tls:'), MILLRACE_STARTUP_MS: '0' }),
  )
  assert.equal(error.code, 'broker_unreachable')
  assert.match(error.message, /does not support 'tls'/)
})

test('a wrong password is not_permitted within the 3 s that a refusal gets', async (t) => {
  const server = await startTestServer(t, { config: user('right') })
  const startedAt = performance.now()
  const error = await failure(
    link(t, { NATS_URL: server.url, NATS_USER: 'ann', NATS_PASSWORD: 'wr0ng', MILLRACE_STARTUP_MS: '60000' }),
  )
  const tookMs = performance.now() - startedAt
  assert.equal(error.code, 'not_permitted')
  assert.match(error.message, /check NATS_USER and NATS_PASSWORD/)
  assert.doesNotMatch(error.message, /wr0ng/)
  assert.ok(tookMs > 2_500 && tookMs < 16_000, `took ${tookMs} ms`)
})

test('no server is broker_unreachable, naming the address without its user-info', async (t) => {
  const url = await unusedUrl()
  const masked = url.replace('://', '://ann:s3cret@')
  const error = await failure(link(t, { NATS_URL: `${masked},127.0.0.1:1`, MILLRACE_STARTUP_MS: '0' }))
  assert.equal(error.code, 'broker_unreachable')
  assert.ok(error.message.includes(`${url}, nats://127.0.0.1:1`), error.message)
  assert.match(error.message, /connection refused/)
  assert.doesNotMatch(error.message, /s3cret/)
})

test('MILLRACE_STARTUP_MS is how long it tries, and 0 is one attempt', async (t) => {
  const NATS_URL = await unusedUrl()
  for (const [startupMs, fewest, most] of [
    [0, 0, 0],
    [600, 1, 5],
  ] as const) {
    let waiting = 0
    const startedAt = performance.now()
    const onEvent = () => waiting++
    await failure(link(t, { NATS_URL, MILLRACE_STARTUP_MS: String(startupMs) }, { onEvent }))
    const tookMs = performance.now() - startedAt
    assert.ok(waiting >= fewest && waiting <= most, `${waiting} further attempts`)
    assert.ok(tookMs >= startupMs - 5 && tookMs < startupMs + 12_000, `took ${tookMs} ms`)
  }
})

test('a server that appears later is found', async (t) => {
  const server = await startTestServer(t, {})
  server.kill('SIGKILL')
  await server.ended()
  let restarted: Promise<void> | undefined
  const { connection, kinds } = await link(
    t,
    { NATS_URL: server.url, MILLRACE_STARTUP_MS: '20000' },
    {
      onEvent() {
        restarted ??= server.restart()
      },
    },
  )
  await restarted
  assert.equal(connection.connected, true)
  assert.equal(connection.epoch, 1)
  assert.ok(kinds().includes('waiting'))
})

test('the signal ends the search for a broker at once', async (t) => {
  const controller = new AbortController()
  const reason = new Error('stopped')
  const startedAt = performance.now()
  const search = link(
    t,
    { NATS_URL: await unusedUrl(), MILLRACE_STARTUP_MS: '60000' },
    { signal: controller.signal, onEvent: () => controller.abort(reason) },
  )
  await assert.rejects(search, reason)
  assert.ok(performance.now() - startedAt < 12_000)
})

test('the signal ends an attempt that hangs', async (t) => {
  const silent = createServer()
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  t.after(() => silent.close())
  const address = silent.address()
  assert.ok(address !== null && typeof address === 'object')
  const controller = new AbortController()
  silent.once('connection', (socket) => {
    t.after(() => socket.destroy())
    controller.abort(new Error('stopped'))
  })
  const search = link(t, { NATS_URL: `nats://127.0.0.1:${address.port}` }, { signal: controller.signal })
  await assert.rejects(search, /stopped/)
})

test('a server without JetStream is jetstream_disabled, unless another one answers for it', async (t) => {
  const without = await startFakeServer(t, { jetstream: false }, 'no responders')
  const error = await failure(link(t, { NATS_URL: without, MILLRACE_STARTUP_MS: '0' }))
  assert.equal(error.code, 'jetstream_disabled')
  assert.match(error.message, /start it with -js/)

  const unclear = await startFakeServer(t, { jetstream: false })
  assert.equal((await link(t, { NATS_URL: unclear })).connection.connected, true, 'no answer proves nothing')
})

test('an old server is warned of', async (t) => {
  const { events } = await link(t, { NATS_URL: await startFakeServer(t, { version: '2.9.9' }) })
  assert.deepEqual(
    events.map((event) => event.kind === 'warning' && event.message),
    ['nats-server 2.9.9 is older than 2.9.10, the oldest that Millrace is tested with; upgrade it'],
  )
})

test('each real reconnection raises the epoch once, however many attempts it took', async (t) => {
  const server = await startTestServer(t, {})
  const { connection, kinds } = await link(t, { NATS_URL: server.url })
  for (const epoch of [2, 3]) {
    server.kill('SIGKILL')
    await server.ended()
    await until(() => !connection.connected, 'the loss is noticed')
    await server.restart()
    await until(() => connection.connected, 'it is connected again', 10_000)
    await connection.nc.flush()
    assert.equal(connection.epoch, epoch)
    assert.equal(connection.reconnects, epoch - 1)
  }
  assert.deepEqual(kinds(), ['disconnected', 'reconnected', 'disconnected', 'reconnected'])
})

test('a dead link is left although its buffers are full', async (t) => {
  const server = await startTestServer(t, {})
  const bad = await linkTo(t, server.url)
  const { connection, kinds } = await link(t, { NATS_URL: bad.url })
  bad.halfOpen()
  const piece = new Uint8Array(500_000)
  for (let pieces = 0; pieces < 40; pieces++) connection.nc.publish('some.subject', piece)
  await until(() => connection.epoch === 2, 'it is connected again', 15_000)
  await connection.nc.flush()
  assert.deepEqual(kinds(), ['disconnected', 'reconnected'])
})

test('a server that says what is not NATS is told of, and left', async (t) => {
  const server = await startTestServer(t, {})
  const bad = await linkTo(t, server.url)
  const { connection, events, kinds } = await link(t, { NATS_URL: bad.url })
  bad.inject('MSG x 1 1\r\na\r\nsecret payload\r\n')
  await until(() => connection.epoch === 2, 'it is connected again', 15_000)
  await connection.nc.flush()
  assert.deepEqual(kinds(), ['unreadable', 'disconnected', 'reconnected'])
  const [first] = events
  assert.ok(first?.kind === 'unreadable')
  assert.match(String(first.error.stack), /parse error \[\d+\]\)\n {4}at /)
  assert.equal(String(first.error.stack).includes('payload'), false)
})

test('a clock that is set back during an outage does not keep it from dialing', async (t) => {
  const server = await startTestServer(t, {})
  const { connection } = await link(t, { NATS_URL: server.url })
  let attempts = 0
  const countAttempts = async () => {
    for await (const status of connection.nc.status()) if (status.type === 'reconnecting') attempts++
  }
  void countAttempts()
  const now = Date.now
  const clock = t.mock.method(Date, 'now', () => now() + 3_600_000)
  server.kill('SIGKILL')
  await until(() => attempts >= 2, 'it dials', 10_000)
  clock.mock.restore()
  await server.restart()
  await until(() => connection.connected, 'it is connected again', 10_000)
})

test('credentials that are revoked and restored: it keeps trying and says so once', async (t) => {
  const server = await startTestServer(t, { config: user('one') })
  const config = join(server.storeDir, 'nats-server.conf')
  const file = join(await tempDir(t), 'password')
  writeFileSync(file, 'one')
  const { connection, events, kinds } = await link(t, {
    NATS_URL: server.url,
    NATS_USER: 'ann',
    NATS_PASSWORD_FILE: file,
  })
  let failedHandshakes = 0
  const countHandshakes = async () => {
    for await (const status of connection.nc.status()) if (status.type === 'error') failedHandshakes++
  }
  void countHandshakes()

  writeFileSync(config, user('two'))
  server.kill('SIGHUP')
  await until(() => failedHandshakes >= 4, 'several attempts were refused', 15_000)
  assert.equal(connection.connected, false)
  assert.equal(connection.epoch, 1)
  assert.equal(connection.nc.isClosed(), false)

  // The file is gone for a moment, as when a secret is mounted anew; then the new password is there.
  rmSync(file)
  const refusals = failedHandshakes
  await until(() => failedHandshakes > refusals, 'an attempt with the old password was refused', 15_000)
  writeFileSync(file, 'two')
  await until(() => connection.connected, 'it is connected again', 15_000)
  await connection.nc.flush()

  assert.equal(connection.epoch, 2)
  const refused = events.filter((event) => event.kind === 'error' && event.refused === 'credentials')
  assert.ok(refused.length <= 2, `${refused.length} complaints`)
  assert.equal(kinds().filter((kind) => kind === 'reconnected').length, 1)
  assert.equal(kinds().filter((kind) => kind === 'disconnected').length, 1)
})

test('a subject that is not permitted is an error with that reason, and the connection stays', async (t) => {
  const server = await startTestServer(t, {
    config:
      'authorization { users: [{ user: u, password: p, permissions: { publish: ["ok", "$JS.API.INFO"], subscribe: ["_INBOX.jobs.>"] } }] }\n',
  })
  const { connection, events } = await link(t, { NATS_URL: server.url, NATS_USER: 'u', NATS_PASSWORD: 'p' })
  assert.ok(await connection.nc.request('$JS.API.INFO'), 'our inbox is permitted')
  connection.nc.publish('forbidden')
  await until(() => events.length > 0, 'the violation is reported')
  assert.ok(events[0]?.kind === 'error' && events[0].refused === 'permission')
  assert.equal(connection.connected, true)
})

test('G4: a barrier is no proof of acks and heartbeats that the server refuses', async (t) => {
  const server = await startTestServer(t, {
    config:
      'authorization { users: [{ user: u, password: p, permissions: { publish: { deny: ["$JS.ACK.jobs.>"] } } }] }\n',
  })
  const { connection } = await link(t, { NATS_URL: server.url, NATS_USER: 'u', NATS_PASSWORD: 'p' })
  for (let round = 0; round < 3; round += 1) {
    connection.nc.publish('$JS.ACK.jobs.io.1.2.3.4.5', '+WPI')
    await assert.rejects(connection.barrier(), /refuses acks/)
    connection.nc.publish('$JS.ACK.others.io.1.2.3.4.5', '+WPI')
    await connection.barrier()
  }
})

test('closing ends an outage: nothing reconnects later', async (t) => {
  const server = await startTestServer(t, {})
  const { connection, kinds } = await link(t, { NATS_URL: server.url })
  server.kill('SIGKILL')
  await until(() => !connection.connected, 'the loss is noticed')
  const startedAt = performance.now()
  await connection.close()
  assert.ok(performance.now() - startedAt < 13_500)
  await until(() => kinds().at(-1) === 'closed', 'the end is announced')
  assert.deepEqual(kinds(), ['disconnected', 'closed'])
})
