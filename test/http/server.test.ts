import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import { MillraceError } from '#src/core/errors.js'
import { createHttpServer, type HttpServer, type HttpServerOptions } from '#src/http/server.js'

const contentType = 'text/plain; version=0.0.4; charset=utf-8'

async function serve(t: TestContext, more: Partial<HttpServerOptions> = {}): Promise<HttpServer> {
  const server = await createHttpServer({
    host: '127.0.0.1',
    port: 0,
    ready: () => [],
    metrics: async () => ({ contentType, body: 'up 1\n' }),
    onError: (error) => assert.fail(String(error)),
    ...more,
  })
  t.after(() => server.close())
  return server
}

function raw(url: string, bytes: string) {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname, () => socket.write(bytes))
  let received = ''
  socket.on('data', (data) => {
    received += data.toString()
  })
  socket.on('error', () => {})
  return { socket, received: () => received, closed: once(socket, 'close') }
}

test('health is ok, says so in JSON and is never cached', async (t) => {
  const { url } = await serve(t)
  assert.match(url, /^http:\/\/127\.0\.0\.1:[1-9]\d*$/)
  const response = await fetch(`${url}/healthz?x=1`)
  assert.equal(response.status, 200)
  assert.deepEqual(await response.json(), { status: 'ok' })
  assert.equal(response.headers.get('cache-control'), 'no-store')
  assert.equal(response.headers.get('x-content-type-options'), 'nosniff')
  assert.match(response.headers.get('content-type') ?? '', /^application\/json/)
})

test('readiness follows the callback and lists the reasons', async (t) => {
  let reasons: string[] = []
  const { url } = await serve(t, { ready: () => reasons })
  const ready = await fetch(`${url}/readyz`)
  assert.equal(ready.status, 200)
  assert.deepEqual(await ready.json(), { ready: true, reasons: [] })
  reasons = ['not connected', 'draining']
  const unready = await fetch(`${url}/readyz`)
  assert.equal(unready.status, 503)
  assert.deepEqual(await unready.json(), { ready: false, reasons })
})

test('metrics have their own content type, and requests at once share one collection', async (t) => {
  let collections = 0
  let release = () => {}
  const gate = new Promise<void>((resolve) => {
    release = resolve
  })
  const { url } = await serve(t, {
    async metrics() {
      collections++
      await gate
      return { contentType, body: `collections ${collections}\n` }
    },
  })
  const requests = [fetch(`${url}/metrics`), fetch(`${url}/metrics`)]
  await fetch(`${url}/healthz`)
  release()
  for (const response of await Promise.all(requests)) {
    assert.equal(response.headers.get('content-type'), contentType)
    assert.match(await response.text(), /^collections [12]\n$/)
  }
  assert.ok(collections <= 2)
  assert.equal(await (await fetch(`${url}/metrics`)).text(), `collections ${collections}\n`)
})

test('HEAD has the headers and no body', async (t) => {
  const { url } = await serve(t)
  for (const path of ['/healthz', '/readyz', '/metrics']) {
    const response = await fetch(url + path, { method: 'HEAD' })
    assert.equal(response.status, 200)
    assert.ok(Number(response.headers.get('content-length')) > 0)
    assert.equal(await response.text(), '')
  }
})

test('other paths are 404 and other methods 405', async (t) => {
  const { url } = await serve(t)
  for (const path of ['/', '/health', '/healthz/', '//healthz', '/constructor', '/__proto__']) {
    assert.equal((await fetch(url + path)).status, 404, path)
  }
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
    const response = await fetch(`${url}/healthz`, { method })
    assert.equal(response.status, 405, method)
    assert.equal(response.headers.get('allow'), 'GET, HEAD')
  }
})

test('an answer that fails is a 500 without details, and the server goes on', async (t) => {
  const errors: unknown[] = []
  const { url } = await serve(t, {
    ready() {
      throw new Error('s3cret')
    },
    metrics: () => Promise.reject(new Error('s3cret')),
    onError: (error) => errors.push(error),
  })
  for (const path of ['/readyz', '/metrics', '/metrics']) {
    const response = await fetch(url + path)
    assert.equal(response.status, 500)
    assert.doesNotMatch(await response.text(), /s3cret/)
  }
  assert.equal(errors.length, 3)
  assert.equal((await fetch(`${url}/healthz`)).status, 200)
})

test('headers that are too large and requests that are no HTTP are refused', async (t) => {
  const { url } = await serve(t)
  const large = raw(url, `GET /healthz HTTP/1.1\r\nhost: x\r\na: ${'a'.repeat(20_000)}\r\n\r\n`)
  await large.closed
  assert.match(large.received(), /^HTTP\/1\.1 431 /)
  const garbage = raw(url, 'what is this\r\n\r\n')
  await garbage.closed
  assert.match(garbage.received(), /^HTTP\/1\.1 400 /)
  assert.equal((await fetch(`${url}/healthz`)).status, 200)
})

test('a request with a body does not spoil the next one of its connection', async (t) => {
  const { url } = await serve(t)
  const both = raw(
    url,
    'POST /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhelloGET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n',
  )
  await both.closed
  assert.match(both.received(), /HTTP\/1\.1 405 [\s\S]*HTTP\/1\.1 200 /)
})

test('closing waits for nobody: not for idle connections, half requests or answers that hang', async (t) => {
  const server = await serve(t, { metrics: () => new Promise(() => {}) })
  const { hostname, port } = new URL(server.url)
  const hanging = request({ hostname, port, path: '/metrics' })
  const hangingEnds = once(hanging, 'error')
  hanging.end()
  const idle = raw(server.url, 'GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n')
  const half = raw(server.url, 'GET /healthz HT')
  await once(idle.socket, 'data')

  const startedAt = performance.now()
  await Promise.all([server.close(), server.close()])
  assert.ok(performance.now() - startedAt < 11_500)
  await Promise.all([hangingEnds, idle.closed, half.closed])
  await assert.rejects(fetch(`${server.url}/healthz`))
})

test('a port in use, or an address that is not ours, is a wrong setting with its remedy', async (t) => {
  const { url } = await serve(t)
  const port = Number(new URL(url).port)
  for (const [address, expected] of [
    [
      { port },
      `MILLRACE_HTTP_PORT=${port} is in use on 127.0.0.1; stop what listens there, or set another port`,
    ],
    [{ host: '192.0.2.1' }, 'MILLRACE_HTTP_HOST=192.0.2.1 cannot be listened on (EADDRNOTAVAIL)'],
  ] as const) {
    await assert.rejects(serve(t, address), (error) => {
      assert.ok(error instanceof MillraceError && error.code === 'invalid_settings')
      assert.ok(error.message.startsWith(expected), error.message)
      return true
    })
  }
})
