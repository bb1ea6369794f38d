import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { describeSettings, maskSettings } from '#src/config/describe.js'
import { optionName } from '#src/config/row.js'
import { readSettings, type SettingsOptions, settingTable } from '#src/config/settings.js'
import { settingNames } from '#src/config/table.js'
import { MillraceError } from '#src/core/errors.js'

const seed = `SU${'A'.repeat(56)}`

function read(environment: Record<string, string>, options?: SettingsOptions) {
  return readSettings({ environment, options })
}

function problemsOf(environment: Record<string, string>, options?: object): string {
  try {
    readSettings({ environment, options: options as SettingsOptions })
  } catch (error) {
    assert.ok(error instanceof MillraceError)
    assert.equal(error.code, 'invalid_settings')
    return error.message
  }
  return assert.fail('the settings were accepted')
}

function tempFile(t: TestContext, contents: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-settings-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'file')
  writeFileSync(file, contents)
  return file
}

test('an empty environment gives the defaults of the contract', () => {
  const { settings, warnings } = read({})
  assert.deepEqual(
    { ...settings },
    {
      nats: {
        servers: ['nats://127.0.0.1:4222'],
        creds: null,
        nkey: null,
        user: null,
        password: null,
        token: null,
        ca: null,
        cert: null,
        key: null,
        secretFiles: {},
      },
      namespace: 'jobs',
      handlersFolder: 'dist/handlers',
      threads: availableParallelism(),
      ioThreads: 1,
      ioConcurrency: 100,
      deadlineMs: 30_000,
      graceMs: 500,
      maxAttempts: 5,
      backoffBaseMs: 1_000,
      backoffMaxMs: 300_000,
      ackWaitMs: 30_000,
      drainMs: 20_000,
      httpHost: '127.0.0.1',
      httpPort: 9464,
      httpToken: null,
      logLevel: 'info',
      jobLogs: 'auto',
      autopsy: 'on',
      manage: true,
      replicas: 1,
      storage: 'file',
      maxJobs: null,
      maxBytes: null,
      duplicateWindowMs: 120_000,
      deadMaxAgeMs: 2_592_000_000,
      threadMemoryMb: null,
      startupMs: 30_000,
      deadlineLimitMs: 86_400_000,
      attemptsLimit: 100,
      resultTtlMs: 86_400_000,
      resultMaxBytes: 65_536,
      schedulesFile: null,
    },
  )
  assert.deepEqual(warnings, [])
  assert.ok(
    Object.isFrozen(settings) && Object.isFrozen(settings.nats) && Object.isFrozen(settings.nats.servers),
  )
})

test('each option is named after its variable by the mechanical rule', () => {
  for (const name of settingNames) assert.equal(optionName(settingTable[name].variable), name)
})

test('the smallest accepted values are those of the contract', () => {
  const smallest = {
    ackWaitMs: 1_000,
    startupMs: 0,
    drainMs: 0,
    deadlineMs: 10,
    graceMs: 0,
    backoffBaseMs: 0,
  }
  for (const [name, min] of Object.entries({ ...smallest, backoffMaxMs: 0 })) {
    assert.equal(settingTable[name as 'graceMs'].kind.bounds?.min, min, name)
  }
  assert.equal(read({ MILLRACE_THREAD_MEMORY_MB: '32' }).settings.threadMemoryMb, 32)
  assert.match(problemsOf({ MILLRACE_THREAD_MEMORY_MB: '31' }), /MILLRACE_THREAD_MEMORY_MB .*from 32/)
})

for (const name of settingNames) {
  const row = settingTable[name]
  const bounds = row.kind.bounds
  if (bounds === undefined) continue
  const field = name as 'maxAttempts'

  test(`${row.variable} keeps every value within its bounds, from the environment and from the options`, () => {
    fc.assert(
      fc.property(fc.integer(bounds), (value) => {
        assert.equal(read({ [row.variable]: String(value) }).settings[field], value)
        assert.equal(read({}, { [field]: value }).settings[field], value)
      }),
      { numRuns: 30 },
    )
  })

  test(`${row.variable} refuses what is out of its bounds and is named`, () => {
    const outside = fc.oneof(
      fc
        .maxSafeInteger()
        .filter((value) => value < bounds.min || value > bounds.max)
        .map(String),
      fc.string().filter((text) => text.trim() !== '' && !/^\s*(\d+|off|unlimited)\s*$/.test(text)),
      fc.constantFrom('1e3', '1_000', '0x10', '1.5', '-1', '+5', 'NaN', 'Infinity', '99999999999999999999'),
    )
    fc.assert(
      fc.property(outside, (value) => {
        assert.ok(problemsOf({ [row.variable]: value }).startsWith(`${row.variable} must be `))
      }),
      { numRuns: 30 },
    )
    for (const value of [1.5, Number.NaN, bounds.max + 1, bounds.min - 1, true, {}]) {
      if (value === bounds.max + 1 && bounds.max === Number.MAX_SAFE_INTEGER) continue
      assert.ok(problemsOf({}, { [name]: value }).startsWith(`${name} must be `), String(value))
    }
  })
}

test('any environment either gives settings or invalid_settings, nothing else', () => {
  const variables = settingNames.map((name) => settingTable[name].variable)
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...variables, 'MILLRACE_X'), fc.string()), (environment) => {
      try {
        readSettings({ environment })
      } catch (error) {
        assert.ok(error instanceof MillraceError && error.code === 'invalid_settings')
      }
    }),
  )
})

test('all problems are reported at once, one line each', () => {
  const message = problemsOf({
    MILLRACE_DEADLINE_MS: '10s',
    MILLRACE_MAX_ATEMPTS: '3',
    MILLRACE_STORAGE: 'disk',
    MILLRACE_MANAGE: 'no',
    NATS_CERT: import.meta.filename,
  })
  const lines = message.split('\n')
  assert.equal(lines[0], '5 settings are wrong:')
  assert.equal(lines.length, 6)
  assert.match(message, /MILLRACE_MAX_ATEMPTS is not a setting, did you mean MILLRACE_MAX_ATTEMPTS\?/)
  assert.match(message, /MILLRACE_DEADLINE_MS must be .* got "10s": write 10000/)
  assert.match(message, /MILLRACE_STORAGE must be one of file, memory, got "disk"/)
  assert.match(message, /MILLRACE_MANAGE must be true or false, got "no": write false/)
  assert.match(message, /NATS_CERT needs NATS_KEY/)
})

test('an unknown option is refused with the nearest one', () => {
  assert.equal(problemsOf({}, { maxAttemps: 3 }), 'maxAttemps is not a setting, did you mean maxAttempts?')
  assert.equal(problemsOf({}, { zzzzzz: 3 }), 'zzzzzz is not a setting')
})

test('the environment wins over an option, an option over the default, and empty counts as unset', () => {
  const { settings, sources } = read(
    { MILLRACE_THREADS: '3', MILLRACE_REPLICAS: '', MILLRACE_NAMESPACE: ' ' },
    { threads: 7, ioThreads: 2, replicas: 3 },
  )
  assert.deepEqual(
    [settings.threads, settings.ioThreads, settings.replicas, settings.namespace],
    [3, 2, 3, 'jobs'],
  )
  assert.deepEqual(
    [sources.threads.origin, sources.ioThreads.origin, sources.namespace.origin],
    ['env', 'option', 'default'],
  )
})

test('the variable of the development server is accepted and ignored', () => {
  assert.deepEqual(read({ MILLRACE_NATS_SERVER: 'anywhere' }).warnings, [])
})

test('what Kubernetes adds for a Service called millrace is ignored with a warning', () => {
  const { warnings } = read({
    MILLRACE_SERVICE_HOST: '10.0.0.1',
    MILLRACE_PORT: 'tcp://10.0.0.1:9464',
    MILLRACE_PORT_9464_TCP_ADDR: '10.0.0.1',
  })
  assert.match(warnings.join(), /MILLRACE_SERVICE_HOST and 2 more come from a Kubernetes Service/)
  assert.match(problemsOf({ MILLRACE_PORT: '9464' }), /did you mean MILLRACE_HTTP_PORT\?/)
  assert.match(problemsOf({ MILLRACE_HTTP_PORT: 'tcp://10.0.0.1:1' }), /enableServiceLinks: false/)
})

test('NATS_URL lists servers, with scheme and port filled in', () => {
  const { settings } = read({ NATS_URL: 'a, tls://b:4333 ,nats://[::1]:4222/,my_nats,' })
  assert.deepEqual(settings.nats.servers, [
    'nats://a:4222',
    'tls://b:4333',
    'nats://[::1]:4222',
    'nats://my_nats:4222',
  ])
  for (const value of [
    'ws://a',
    'http://a',
    'nats://',
    'nats://a:99999',
    'nats://a/b',
    ',',
    'nats://a:0',
    'a b',
  ]) {
    assert.match(problemsOf({ NATS_URL: value }), /^NATS_URL must be nats:\/\/host:port/, value)
  }
})

test('user-info in NATS_URL becomes credentials and leaves the address', () => {
  const pair = read({ NATS_URL: 'nats://ann:p%40ss@a,nats://b' }).settings.nats
  assert.deepEqual(
    [pair.servers, pair.user, pair.password],
    [['nats://a:4222', 'nats://b:4222'], 'ann', 'p@ss'],
  )
  const token = read({ NATS_URL: 'nats://s3cret@a' }).settings.nats
  assert.deepEqual([token.servers, token.token, token.user], [['nats://a:4222'], 's3cret', null])
})

test('no secret is ever part of a message or of what is printed', (t) => {
  const secret = 's3cr3t,pa ss'
  const messages = [
    problemsOf({ NATS_URL: `nats://ann:${secret}@a:bad` }),
    problemsOf({ NATS_URL: `ann:${secret}@a:99999,b` }),
    problemsOf({ NATS_URL: `ws://ann:${secret}@a` }),
    problemsOf({ NATS_NKEY: `SU${secret}` }),
    problemsOf({ MILLRACE_HTTP_TOKEN: secret }),
    problemsOf({ MILLRACE_HTTP_TOKEN_FILE: tempFile(t, secret) }),
    problemsOf({ NATS_CREDS: `-----BEGIN NATS USER JWT-----\n${secret}` }),
    problemsOf({ NATS_PASSWORD: secret, NATS_TOKEN: secret, NATS_URL: 'nats://u:pa@b' }),
  ]
  for (const message of messages) assert.doesNotMatch(message, /s3cr3t|pa ss/)

  const { settings, sources } = read({
    NATS_USER: 'ann',
    NATS_PASSWORD: secret,
    MILLRACE_HTTP_TOKEN: `x${secret.replace(' ', '')}`,
  })
  for (const printed of [maskSettings(settings), describeSettings(settings, sources)]) {
    assert.doesNotMatch(JSON.stringify(printed), /s3cr3t/)
  }
  assert.equal(settings.nats.password, secret)
})

test('the rows of `millrace config` have name, value and source', () => {
  const { settings, sources } = read({ NATS_TOKEN: 'abc' }, { threads: 2 })
  const rows = describeSettings(settings, sources)
  assert.equal(rows.length, settingNames.length)
  assert.deepEqual(
    rows.filter((row) => row.source !== 'default'),
    [
      { name: 'NATS_TOKEN', value: '***', source: 'env' },
      { name: 'MILLRACE_THREADS', value: 2, source: 'option' },
    ],
  )
})

test('a secret can come from a file, and the file is remembered for the next connection', (t) => {
  const file = tempFile(t, 'hunter2\n')
  const { settings } = read({ NATS_USER: 'ann', NATS_PASSWORD_FILE: file })
  assert.equal(settings.nats.password, 'hunter2')
  assert.deepEqual(settings.nats.secretFiles, { password: file })
  assert.match(problemsOf({ NATS_TOKEN_FILE: '/no/such/file' }), /NATS_TOKEN_FILE: cannot read .* \(ENOENT\)/)
  assert.match(
    problemsOf({ NATS_TOKEN: 'a', NATS_TOKEN_FILE: file }),
    /NATS_TOKEN and NATS_TOKEN_FILE are both set/,
  )
  assert.match(problemsOf({ NATS_TOKEN_FILE: tempFile(t, '\n') }), /is empty/)
})

test('NATS_NKEY is a seed or, as for the nats command, the path of one', (t) => {
  const file = tempFile(t, `${seed}\n`)
  assert.equal(read({ NATS_NKEY: seed }).settings.nats.nkey, seed)
  for (const variable of ['NATS_NKEY', 'NATS_NKEY_FILE']) {
    const { nats } = read({ [variable]: file }).settings
    assert.deepEqual([nats.nkey, nats.secretFiles.nkey], [seed, file])
  }
})

test('a file that must be there is looked for at start', () => {
  assert.match(
    problemsOf({ NATS_CREDS: '/no/such.creds' }),
    /NATS_CREDS: cannot read "\/no\/such.creds" \(ENOENT\)/,
  )
  const both = problemsOf({ NATS_CERT: import.meta.filename, NATS_KEY: '/no/key' })
  assert.doesNotMatch(both, /needs/, 'a key that cannot be read is not a missing key')
})

test('settings that contradict each other are refused', () => {
  assert.match(problemsOf({ NATS_PASSWORD: 'x' }), /NATS_PASSWORD needs NATS_USER/)
  assert.match(
    problemsOf({ NATS_URL: 'nats://u:p@a', NATS_TOKEN: 'x', NATS_NKEY: seed }),
    /the user-info in NATS_URL and NATS_NKEY and NATS_TOKEN are several credentials at once/,
  )
})

test('a namespace that would overlap with our own subjects is refused', () => {
  for (const value of ['dead', 'delayed', 'ticks', 'events', 'asks', 'answers']) {
    assert.match(problemsOf({ MILLRACE_NAMESPACE: value }), /reserved/)
  }
  assert.match(problemsOf({ MILLRACE_NAMESPACE: 'My_Jobs' }), /got "My_Jobs": write my-jobs/)
})

test('what works but is unwise only warns', () => {
  const unwise: [Record<string, string>, RegExp][] = [
    [{ MILLRACE_THREAD_MEMORY_MB: '64', NODE_OPTIONS: '--max-old-space-size=100' }, /has no effect/],
    [{ NATS_USER: 'ann' }, /empty password/],
    [{ MILLRACE_REPLICAS: '3' }, /lists one server/],
    [{ MILLRACE_REPLICAS: '2', NATS_URL: 'a,b,c' }, /use 3 or 5/],
    [{ MILLRACE_STORAGE: 'memory' }, /loses every job/],
    [{ MILLRACE_DRAIN_MS: '60000' }, /terminationGracePeriodSeconds above 63/],
    [{ MILLRACE_ACK_WAIT_MS: '1000' }, /run twice/],
    [{ MILLRACE_DEADLINE_LIMIT_MS: '1000' }, /MILLRACE_DEADLINE_MS=30000 is above/],
    [{ MILLRACE_ATTEMPTS_LIMIT: '3' }, /MILLRACE_MAX_ATTEMPTS=5 is above/],
    [{ MILLRACE_BACKOFF_BASE_MS: '400000' }, /is above MILLRACE_BACKOFF_MAX_MS/],
    [{ MILLRACE_DEAD_MAX_AGE_MS: '1000' }, /forgotten before/],
    [{ MILLRACE_HTTP_HOST: '0.0.0.0' }, /not loopback/],
    [{ MILLRACE_HTTP_TOKEN: 'short' }, /fewer than 16/],
  ]
  for (const [environment, expected] of unwise) {
    const { warnings } = read(environment)
    assert.equal(warnings.length, 1, `${JSON.stringify(environment)}: ${warnings.join()}`)
    assert.match(warnings[0] ?? '', expected)
  }
  const wise = { MILLRACE_ACK_WAIT_MS: '5000', MILLRACE_HTTP_HOST: '::1', MILLRACE_HTTP_PORT: 'off' }
  assert.deepEqual(read(wise).warnings, [], 'an ack wait below the deadline is fine')
})
