import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import { MillraceError } from '#src/core/errors.js'
import type { AdminAction, AdminRecord } from '#src/http/admin.js'
import { createHttpServer, type HttpServerOptions } from '#src/http/server.js'
import { eventually } from '../support/eventually.ts'

const token = 'a-token-of-some-length'

interface Port {
  readonly url: string
  readonly port: number
  readonly done: [AdminAction, string, string][]
  readonly records: AdminRecord[]
  /** Sends bytes and answers all that comes back until the server closes. */
  raw(bytes: string): Promise<string>
  post(path: string, init?: RequestInit): Promise<Response>
}

interface PortOptions extends Partial<HttpServerOptions> {
  token?: string | null
  handlers?: () => readonly string[] | undefined
  act?: (action: AdminAction) => Promise<void>
}

async function serve(t: TestContext, options: PortOptions = {}): Promise<Port> {
  const done: Port['done'] = []
  const records: AdminRecord[] = []
  const server = await createHttpServer({
    host: '127.0.0.1',
    port: 0,
    ready: () => [],
    metrics: async () => ({ contentType: 'text/plain', body: 'up 1\n' }),
    onError: (error) => assert.fail(String(error)),
    admin: {
      token: options.token ?? null,
      onRecord: (record) => records.push(record),
      actions: {
        handlers: options.handlers ?? (() => ['email.send', 'report']),
        async act(action, target, remote) {
          await options.act?.(action)
          done.push([action, target, remote])
        },
      },
    },
    ...options,
  })
  t.after(() => server.close())
  const port = Number(new URL(server.url).port)
  return {
    url: server.url,
    port,
    done,
    records,
    async raw(bytes) {
      const socket = connect(port, server.url.includes('[') ? '::1' : '127.0.0.1', () => socket.write(bytes))
      let received = ''
      socket.on('data', (data) => {
        received += data.toString()
      })
      socket.on('error', () => {})
      await once(socket, 'close')
      return received
    },
    post: (path, init) => fetch(server.url + path, { method: 'POST', ...init }),
  }
}

const pause = '/api/handlers/email.send/pause'
const rawPause = (lines: readonly string[], target = pause, version = '1.1'): string =>
  [`POST ${target} HTTP/${version}`, ...lines, 'Content-Length: 0', 'Connection: close', '', ''].join('\r\n')

test('each action is done once, answers as the command line does, and is recorded', async (t) => {
  const { post, done, records } = await serve(t)
  for (const [path, expected] of [
    [pause, { handler: 'email.send', paused: true }],
    ['/api/handlers/report/resume?x=1', { handler: 'report', paused: false }],
    ['/api/jobs/JOBS%3A12/cancel', { id: 'JOBS:12', cancelled: true }],
    ['/api/jobs/a%2Fb%20%C3%A4/cancel', { id: 'a/b ä', cancelled: true }],
  ] as const) {
    const response = await post(path, { body: '{}' })
    assert.equal(response.status, 200)
    assert.deepEqual(await response.json(), expected)
    assert.equal(response.headers.get('cache-control'), 'no-store')
  }
  assert.deepEqual(done, [
    ['pause', 'email.send', '127.0.0.1'],
    ['resume', 'report', '127.0.0.1'],
    ['cancel', 'JOBS:12', '127.0.0.1'],
    ['cancel', 'a/b ä', '127.0.0.1'],
  ])
  assert.deepEqual(records[2], {
    remote: '127.0.0.1',
    action: 'cancel',
    target: 'JOBS:12',
    outcome: 'done',
    refused: false,
    error: undefined,
  })
})

test('what is not there, not allowed or not known is said, and nothing is done', async (t) => {
  let handlers: readonly string[] | undefined
  const { url, post, done } = await serve(t, { handlers: () => handlers })
  assert.equal((await post(pause)).status, 503, 'it does not know its handlers yet')
  handlers = ['email.send', 'report']
  for (const [path, status, code, message] of [
    ['/api/handlers/email.sned/pause', 404, 'unknown_handler', /did you mean email\.send\?/],
    ['/api/handlers/constructor/pause', 404, 'unknown_handler', /the command line takes any name/],
    [`/api/handlers/${'x'.repeat(5_000)}/pause`, 404, 'unknown_handler', /no such handler/],
    ['/api/handlers/email.send/stop', 404, 'not_found', /docs\/http\.md/],
    ['/api/handlers//pause', 404, 'not_found', /./],
    ['/api/handlers/..%2f..%2fx/pause', 404, 'unknown_handler', /./],
    ['/api/jobs/%E0%A4%A/cancel', 404, 'not_found', /./],
    ['/api/', 404, 'not_found', /./],
  ] as const) {
    const response = await post(path)
    const { error } = (await response.json()) as { error: { code: string; message: string } }
    assert.equal(response.status, status, path)
    assert.equal(error.code, code, path)
    assert.match(error.message, message)
  }
  for (const method of ['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
    const response = await fetch(url + pause, { method, headers: { origin: 'http://evil.example' } })
    assert.equal(response.status, 405, method)
    assert.equal(response.headers.get('allow'), 'POST')
    assert.deepEqual(
      [...response.headers.keys()].filter((name) => name.startsWith('access-control')),
      [],
    )
  }
  assert.deepEqual(done, [])
})

test('without a token, a request has to be addressed to loopback by name', async (t) => {
  const { raw, done, port, records } = await serve(t)
  const table: [what: string, status: number, bytes: string][] = [
    ['its own address', 200, rawPause([`Host: 127.0.0.1:${port}`])],
    ['localhost, with the port of a tunnel', 200, rawPause(['Host: localhost:8080'])],
    ['an IPv6 address', 200, rawPause([`Host: [::1]:${port}`])],
    ['a name that was made to resolve to it', 403, rawPause([`Host: evil.example:${port}`])],
    ['two names', 400, rawPause(['Host: localhost', 'Host: evil.example'])],
    ['no name', 400, rawPause([])],
    ['no name in HTTP/1.0', 403, rawPause([], pause, '1.0')],
    ['a name in HTTP/1.0', 200, rawPause(['Host: localhost'], pause, '1.0')],
    ['an absolute target', 404, rawPause(['Host: localhost'], `http://localhost${pause}`)],
    ['an absolute target elsewhere', 404, rawPause(['Host: localhost'], `http://evil.example${pause}`)],
    ['a proxy that claims loopback', 403, rawPause(['Host: a.example', 'X-Forwarded-Host: localhost'])],
    ['a claim about the sender', 200, rawPause(['Host: localhost', 'X-Forwarded-For: 8.8.8.8'])],
    ['a page of this port', 200, rawPause(['Host: localhost:1', 'Origin: http://localhost:1'])],
    ['a page elsewhere', 403, rawPause(['Host: localhost:1', 'Origin: http://evil.example'])],
    ['two pages', 400, rawPause(['Host: a', 'Origin: http://a', 'Origin: http://b'])],
    ['a sandboxed page', 403, rawPause(['Host: localhost', 'Origin: null'])],
    ['a page elsewhere, without Origin', 403, rawPause(['Host: localhost', 'Sec-Fetch-Site: cross-site'])],
  ]
  for (const [what, status, bytes] of table)
    assert.match(await raw(bytes), new RegExp(`^HTTP/1.1 ${status} `), what)
  const allowed = table.filter(([, status]) => status === 200).length
  assert.equal(done.length, allowed)
  assert.equal(records.filter(({ outcome }) => outcome === 'done').length, allowed)
})

test('a port that others reach has no admin actions without a token, wherever one comes from', async (t) => {
  const { port, raw, done } = await serve(t, { host: '0.0.0.0' })
  for (const more of [[], ['X-Forwarded-For: 127.0.0.1'], ['Authorization: Bearer x']]) {
    const answer = await raw(rawPause([`Host: 127.0.0.1:${port}`, ...more]))
    assert.match(answer, /^HTTP\/1\.1 403 [\s\S]*"admin_off"[\s\S]*MILLRACE_HTTP_TOKEN/)
  }
  assert.match(
    await raw(`GET /healthz HTTP/1.1\r\nHost: pod.example\r\nConnection: close\r\n\r\n`),
    /^HTTP\/1\.1 200 /,
  )
  assert.deepEqual(done, [])
})

test('a loopback port of IPv6 is one, too', async (t) => {
  const { port, raw, done } = await serve(t, { host: '::1' }).catch(() => ({ port: 0, raw: null, done: [] }))
  if (raw === null) return t.skip('this machine has no IPv6')
  assert.match(await raw(rawPause([`Host: [::1]:${port}`])), /^HTTP\/1\.1 200 /)
  assert.match(await raw(rawPause([`Host: [::2]:${port}`])), /^HTTP\/1\.1 403 /)
  assert.equal(done.length, 1)
})

test('with a token it is asked for everywhere, and appears in no answer and no record', async (t) => {
  const { raw, post, done, records } = await serve(t, { token, host: '0.0.0.0' })
  const right = `Authorization: Bearer ${token}`
  assert.match(await raw(rawPause(['Host: supervisor.internal', right])), /^HTTP\/1\.1 200 /)
  assert.match(await raw(rawPause([right], pause, '1.0')), /^HTTP\/1\.1 200 /)
  assert.equal(done.length, 2)
  const answers = [
    await raw(rawPause(['Host: localhost'])),
    await raw(rawPause(['Host: localhost', `Authorization: Bearer ${token}1`])),
    await raw(rawPause(['Host: localhost', right, right])),
    await raw(rawPause(['Host: localhost', right, 'Origin: http://evil.example'])),
  ]
  for (const answer of answers) assert.doesNotMatch(answer, new RegExp(`^HTTP/1.1 200|${token}`))
  assert.match(answers[0]!, /^HTTP\/1\.1 401 [\s\S]*www-authenticate: Bearer/)
  assert.equal((await post(`${pause}?token=${token}`)).status, 401, 'a query is no place for it')
  assert.equal(done.length, 2)
  assert.doesNotMatch(JSON.stringify(records), new RegExp(token))
  assert.equal((await fetch(`http://127.0.0.1:${new URL((await serve(t)).url).port}/metrics`)).status, 200)
})

test('what the broker answers becomes a status, and other errors are no detail for the asker', async (t) => {
  let error: Error = new MillraceError('broker_unreachable', 'away')
  const seen: unknown[] = []
  const { post, records } = await serve(t, {
    act: () => Promise.reject(error),
    onError: (problem) => seen.push(problem),
  })
  for (const [code, status] of [
    ['broker_unreachable', 503],
    ['topology_missing', 503],
    ['not_permitted', 502],
    ['broker_request_failed', 502],
    ['invalid_job', 400],
  ] as const) {
    error = new MillraceError(code, 'what to do')
    const response = await post(pause)
    assert.equal(response.status, status)
    assert.deepEqual(await response.json(), { error: { code, message: 'what to do' } })
    assert.deepEqual([records.at(-1)!.outcome, records.at(-1)!.refused], [code, false])
  }
  error = new TypeError('s3cret')
  const response = await post(pause)
  assert.equal(response.status, 500)
  assert.doesNotMatch(await response.text(), /s3cret/)
  assert.deepEqual(seen, [error])
})

test('a body has a limit, announced or not, and nothing is done before it has ended', async (t) => {
  const { raw, done } = await serve(t)
  const announced = await raw(`POST ${pause} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999\r\n\r\n`)
  assert.match(announced, /^HTTP\/1\.1 413 /)
  const chunked = `POST ${pause} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n`
  assert.match(await raw(`${chunked}800\r\n${'x'.repeat(0x800)}\r\n`), /^HTTP\/1\.1 413 /)
  assert.match(await raw(`${chunked}1\r\nx\r\n0\r\n\r\n${rawPause(['Host: localhost'])}`), /^HTTP\/1\.1 200 /)
  assert.equal(done.length, 2)
})

test('no more than a few actions are under way at once', async (t) => {
  let release = () => {}
  const gate = new Promise<void>((resolve) => {
    release = resolve
  })
  let acting = 0
  const { post, url } = await serve(t, {
    async act() {
      acting += 1
      await gate
    },
  })
  const first = Array.from({ length: 16 }, () => post(pause))
  await eventually('16 are under way', () => acting === 16)
  const refused = await post(pause)
  assert.equal(refused.status, 429)
  assert.equal(refused.headers.get('retry-after'), '1')
  assert.equal((await fetch(`${url}/healthz`)).status, 200)
  release()
  for (const response of await Promise.all(first)) assert.equal(response.status, 200)
  assert.equal((await post(pause)).status, 200)
})

test('clients that are slow with their first byte, a header or a body are cut off', async (t) => {
  const { raw, done } = await serve(t)
  const slow = [
    raw(''),
    raw('POST /api'),
    raw(`POST ${pause} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nx`),
  ]
  let answers: string[] | undefined
  void Promise.all(slow).then((all) => {
    answers = all
  })
  // Node's own check comes only every 30 s.
  for (const answer of await eventually('all are cut off', () => answers, 20_000))
    assert.match(answer, /^(HTTP\/1\.1 408 |$)/)
  assert.deepEqual(done, [])
})
