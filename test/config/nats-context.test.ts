import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { readNatsContext } from '#src/config/nats-context.js'
import { tempDir } from '../support/temp-dir.ts'

async function createContexts(t: TestContext, contexts: Record<string, object | string>) {
  const home = await tempDir(t)
  const folder = join(home, '.config/nats/context')
  mkdirSync(folder, { recursive: true })
  for (const [name, context] of Object.entries(contexts))
    writeFileSync(
      join(folder, `${name}.json`),
      typeof context === 'string' ? context : JSON.stringify(context),
    )
  const read = (name: string, environment: Record<string, string> = {}) => {
    const { options, inboxPrefix } = readNatsContext(name, { HOME: home, ...environment })
    const set = Object.entries(options).filter(([, value]) => value !== undefined)
    return { ...Object.fromEntries(set), ...(inboxPrefix === undefined ? {} : { inboxPrefix }) }
  }
  return { home, read }
}

const full = {
  description: 'the orders',
  url: 'nats://orders:4222',
  token: '',
  user: 'sam',
  password: 'hush',
  creds: '',
  nkey: '',
  cert: '~/cert.pem',
  key: '/etc/key.pem',
  ca: '~/ca.pem',
  inbox_prefix: '_INBOX.admin',
  jetstream_domain: '',
  tls_first: false,
  color_scheme: 'auto',
}

test('a context of the nats CLI gives address and credentials', async (t) => {
  const { home, read } = await createContexts(t, {
    full,
    token: { user: 'a-token' },
    creds: { creds: '~/a.creds' },
  })
  assert.deepEqual(read('full'), {
    natsUrl: 'nats://orders:4222',
    natsUser: 'sam',
    natsPassword: 'hush',
    natsCa: join(home, 'ca.pem'),
    natsCert: join(home, 'cert.pem'),
    natsKey: '/etc/key.pem',
    inboxPrefix: '_INBOX.admin',
  })
  assert.deepEqual(read('token'), { natsToken: 'a-token' })
  assert.deepEqual(read('creds'), { natsCreds: join(home, 'a.creds') })
  assert.deepEqual(read('token', { XDG_CONFIG_HOME: join(home, '.config'), HOME: '/nowhere' }), {
    natsToken: 'a-token',
  })
})

test('credentials of the environment replace all of the context', async (t) => {
  const { read } = await createContexts(t, { full })
  for (const own of [
    { NATS_CREDS: '/a.creds' },
    { NATS_TOKEN_FILE: '/token' },
    { NATS_URL: 'nats://token@host' },
  ]) {
    const { natsUser, natsPassword, natsUrl } = read('full', own) as Record<string, unknown>
    assert.deepEqual([natsUser, natsPassword, natsUrl], [undefined, undefined, 'nats://orders:4222'])
  }
  const { natsCert, natsKey, natsUser } = read('full', { NATS_CERT: '/own.pem' }) as Record<string, unknown>
  assert.deepEqual([natsCert, natsKey, natsUser], [undefined, undefined, 'sam'])
})

test('a context that is missing, damaged or beyond us is refused, without a word of what is in it', async (t) => {
  const { read } = await createContexts(t, {
    orders: full,
    broken: '{"password": hush}',
    list: '["hush"]',
    nsc: { nsc: 'nsc://operator/account/user' },
  })
  const refused = (name: string, message: RegExp) =>
    assert.throws(
      () => read(name),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, 'invalid_settings')
        assert.match(error.message, message)
        assert.doesNotMatch(error.message, /hush/)
        return true
      },
    )
  refused('order', /there is no nats context "order" in .*, did you mean orders\?/)
  refused('entirely-unheard-of', /nats context ls/)
  refused('broken', /no JSON object/)
  refused('list', /no JSON object/)
  refused('nsc', /has nsc, which Millrace does not know/)
  for (const name of ['../orders', '/etc/passwd', '', '.']) refused(name, /the name of a file/)
})
