import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { createClient } from '#src/client/index.js'
import { type Certificates, createCertificates, tlsConfig, unlessOpenssl } from '../nats/certificates.ts'
import { millrace } from '../support/command-line.ts'
import { eventually } from '../support/eventually.ts'
import { startTestServer } from '../support/nats-server.ts'
import { Supervisor } from '../support/supervisor.ts'
import { tempDir } from '../support/temp-dir.ts'
import { soundHandlers, World } from '../support/world.ts'

const skip = unlessOpenssl

/** What the nats CLI calls them, too. */
const trusting = (files: Certificates) => ({ NATS_CA: files.ca })
const known = (files: Certificates) => ({
  ...trusting(files),
  NATS_CERT: files.clientCert,
  NATS_KEY: files.clientKey,
})

async function secured(t: TestContext, verify: boolean): Promise<{ world: World; files: Certificates }> {
  const dir = await tempDir(t)
  const files = createCertificates(dir)
  const tls = { caFile: files.ca, certFile: files.clientCert, keyFile: files.clientKey }
  const env = verify ? known(files) : trusting(files)
  // The test's own client has no name to compare the address with, see checkIdentity in credentials.ts.
  const connect = { tls: { ...tls, checkServerIdentity: () => undefined } }
  const world = await World.create(t, { env, serverConfig: tlsConfig(files, verify), connect })
  return { world, files }
}

for (const verify of [false, true]) {
  const what = verify ? 'a server that wants a client certificate' : 'a server that speaks TLS only'
  test(`on ${what}, jobs run, and a renewal of every certificate is survived`, { skip }, async (t) => {
    const { world, files } = await secured(t, verify)
    const { broker, ledger, server } = world
    const supervisor = await world.supervise()
    const first = await broker.enqueueAll('act', [{ do: 'return' }, { do: 'fail' }, { do: 'permanent' }])
    await broker.drained()
    assert.equal(ledger.ends(first[0]!).length, 1)

    await t.test('a restart of the server', async () => {
      const gate = world.gate('go')
      const held = await broker.enqueue('act', { do: 'hold', gate: gate.path })
      await eventually('it runs', () => ledger.starts(held).length === 1)
      server.kill('SIGKILL')
      await server.ended()
      await server.restart()
      await supervisor.line('reconnected to NATS')
      gate.open()
      await broker.drained()
      assert.equal(ledger.starts(held).length, 1)
    })

    await t.test('a renewal by another authority, with the files replaced on disk', async () => {
      createCertificates(join(files.ca, '..'))
      await server.restart()
      await eventually(
        'the supervisor is there again, with what is on disk now',
        () => supervisor.lines.filter(({ msg }) => msg === 'reconnected to NATS').length >= 2,
      )
      // The test's own client may have given up at a refusal in between; ours does not.
      const environment = { ...(verify ? known(files) : trusting(files)), NATS_URL: server.url }
      const client = await createClient({ environment })
      const { id } = await client.enqueue('act', { do: 'return' })
      await eventually('a job has run', () => ledger.ends(id).length === 1)
      await client.close()
    })
    assert.equal((await supervisor.stop()).code, 0)
  })
}

test('a supervisor says what to do about a certificate that it does not trust, and ends', {
  skip,
}, async (t) => {
  const dir = await tempDir(t)
  const made = (name: string, server = {}): Certificates => {
    mkdirSync(join(dir, name))
    return createCertificates(join(dir, name), server)
  }
  const right = made('right')
  const other = made('other')
  const expired = made('expired', { days: -1 })
  const elsewhere = made('elsewhere', { names: 'DNS:nats.example' })
  const started = async (files: Certificates, verify: boolean) =>
    (await startTestServer(t, { config: tlsConfig(files, verify) })).url
  const table: [what: string, url: string, env: Record<string, string>, codes: number[], says: RegExp][] = [
    ['no authority', await started(right, false), {}, [69], /not trusted .*set NATS_CA/],
    ['another authority', await started(right, false), trusting(other), [69], /not trusted .*set NATS_CA/],
    ['an expired one', await started(expired, false), trusting(expired), [69], /expired.*renew/],
    [
      'another host',
      await started(elsewhere, false),
      trusting(elsewhere),
      [69, 77],
      /use a host name that it lists/,
    ],
    [
      'no certificate of ours',
      await started(right, true),
      trusting(right),
      [69, 77],
      /check NATS_CERT and NATS_KEY/,
    ],
    [
      'one of ours that it did not sign',
      await started(right, true),
      { ...known(other), ...trusting(right) },
      [69, 77],
      /check NATS_CERT and NATS_KEY/,
    ],
  ]
  for (const [what, url, env, codes, says] of table) {
    const supervisor = new Supervisor({
      NATS_URL: url,
      MILLRACE_HANDLERS: soundHandlers,
      MILLRACE_HTTP_PORT: 'off',
      MILLRACE_STARTUP_MS: '0',
      ...env,
    })
    t.after(() => supervisor.kill())
    const exit = await supervisor.ended()
    assert.match(supervisor.stderr, says, what)
    assert.ok(codes.includes(exit.code ?? -1), `${what}: ${supervisor.tail()}`)
  }
})

test('the client and the command line use the same variables', { skip }, async (t) => {
  const { world, files } = await secured(t, true)
  await world.supervise()
  const environment = { ...known(files), NATS_URL: world.server.url }
  const run = await millrace(['enqueue', 'act', '{"do":"return"}', '--id', 'typed'], environment)
  assert.equal(run.code, 0, run.stderr)
  const client = await createClient({ environment })
  t.after(() => client.close())
  await client.enqueue('act', { do: 'return' }, { id: 'called' })
  for (const id of ['typed', 'called'])
    await eventually(`${id} has run`, () => world.ledger.ends(id).length === 1)
  const stranger = await millrace(['pause', 'act'], { ...environment, NATS_CERT: '', NATS_KEY: '' })
  assert.notEqual(stranger.code, 0)
  assert.match(stranger.stderr, /NATS_CERT and NATS_KEY/)
})
