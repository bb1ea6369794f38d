import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import deliver from '#src/handlers/webhook/deliver.js'
import { attempt, createContext } from '../fake-context.ts'

interface Received {
  method: string | undefined
  path: string | undefined
  headers: IncomingMessage['headers']
  body: string
}

/** A receiver of webhooks on a free port; it remembers what it got and answers what the test says. */
async function createReceiver(t: TestContext, answer: (response: ServerResponse, request: Received) => void) {
  const received: Received[] = []
  let connections = 0
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const one = { method: request.method, path: request.url, headers: request.headers, body }
    received.push(one)
    answer(response, one)
  })
  server.on('connection', () => {
    connections += 1
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, received, server, connections: () => connections }
}

async function failure(run: Promise<unknown>): Promise<Error & { code?: string; delayMs?: number }> {
  try {
    await run
  } catch (error) {
    return error as Error & { code?: string; delayMs?: number }
  }
  throw new Error('the attempt completed, it should have failed')
}

test('a webhook arrives as JSON with the job id as its idempotency key', async (t) => {
  const receiver = await createReceiver(t, (response) => response.writeHead(204).end())
  const context = createContext({ id: 'order-17-paid' })
  await attempt(deliver, { url: `${receiver.url}/hooks?token=s3cret`, body: { order: 17 } }, context)
  const [request] = receiver.received
  assert.equal(request?.method, 'POST')
  assert.equal(request?.path, '/hooks?token=s3cret')
  assert.deepEqual(JSON.parse(request!.body), { order: 17 })
  assert.equal(request?.headers['content-type'], 'application/json')
  assert.equal(request?.headers['idempotency-key'], 'order-17-paid')
  assert.equal(request?.headers['webhook-signature'], undefined)
})

test('neither the payload nor the path of the URL is logged or put into an error', async (t) => {
  let status = 200
  const receiver = await createReceiver(t, (response) => response.writeHead(status).end('s3cret'))
  const context = createContext()
  const payload = { url: `${receiver.url}/s3cret?key=s3cret`, body: { password: 's3cret' } }
  await attempt(deliver, payload, context)
  assert.equal(context.lines.length, 1)
  assert.doesNotMatch(JSON.stringify(context.lines), /s3cret/)
  for (status of [301, 307, 404, 500]) {
    const error = await failure(attempt(deliver, payload, createContext()))
    assert.doesNotMatch(`${error.message} ${error.stack}`, /s3cret/)
  }
})

test('a job id that does not fit into a header is encoded', async (t) => {
  const receiver = await createReceiver(t, (response) => response.end())
  await attempt(deliver, { url: receiver.url, body: 1 }, createContext({ id: 'zahlung ü' }))
  assert.equal(receiver.received[0]?.headers['idempotency-key'], 'zahlung%20%C3%BC')
})

test('a secret in the environment signs the delivery as Standard Webhooks says', async (t) => {
  const receiver = await createReceiver(t, (response) => response.end())
  const key = Buffer.from('a secret of this test')
  process.env['WEBHOOK_SECRET'] = `whsec_${key.toString('base64')}`
  t.after(() => {
    delete process.env['WEBHOOK_SECRET']
  })
  await attempt(deliver, { url: receiver.url, body: { order: 17 } }, createContext({ id: 'order-17' }))
  const { headers, body } = receiver.received[0]!
  const signed = `order-17.${headers['webhook-timestamp']}.${body}`
  const expected = createHmac('sha256', key).update(signed).digest('base64')
  assert.equal(headers['webhook-id'], 'order-17')
  assert.equal(headers['webhook-signature'], `v1,${expected}`)
  assert.ok(Math.abs(Number(headers['webhook-timestamp']) - Date.now() / 1_000) < 60)
})

for (const status of [408, 429, 500, 502, 503]) {
  test(`a ${status} without Retry-After is an ordinary failure, which the backoff retries`, async (t) => {
    const receiver = await createReceiver(t, (response) => response.writeHead(status).end())
    const error = await failure(attempt(deliver, { url: receiver.url, body: 1 }, createContext()))
    assert.equal(error.code, undefined)
    assert.match(error.message, new RegExp(`answered ${status}$`))
  })
}

for (const status of [400, 401, 404, 410, 422]) {
  test(`a ${status} is permanent`, async (t) => {
    const receiver = await createReceiver(t, (response) => {
      response.writeHead(status, { 'retry-after': '5' }).end()
    })
    const error = await failure(attempt(deliver, { url: receiver.url, body: 1 }, createContext()))
    assert.equal(error.code, 'permanent_failure')
  })
}

for (const [what, said, leastMs, mostMs] of [
  ['in seconds', '7', 7_000, 7_000],
  ['of no time', '0', 1_000, 1_000],
  ['of very many seconds', '999999999999', 3_600_000, 3_600_000],
  ['with a date', new Date(Date.now() + 600_000).toUTCString(), 500_000, 600_000],
  ['with a date in the past', new Date(Date.now() - 600_000).toUTCString(), 1_000, 1_000],
  ['with a date far ahead', 'Fri, 31 Dec 9999 23:59:59 GMT', 3_600_000, 3_600_000],
] as const) {
  test(`a Retry-After ${what} decides the delay, within bounds`, async (t) => {
    const receiver = await createReceiver(t, (response) => {
      response.writeHead(503, { 'retry-after': said }).end()
    })
    const error = await failure(attempt(deliver, { url: receiver.url, body: 1 }, createContext()))
    assert.equal(error.code, 'retry_later')
    assert.ok(error.delayMs! >= leastMs && error.delayMs! <= mostMs, `delayMs is ${error.delayMs}`)
  })
}

test('a Retry-After that cannot be understood leaves the delay to the backoff', async (t) => {
  const receiver = await createReceiver(t, (response) => {
    response.writeHead(429, { 'retry-after': 'soon' }).end()
  })
  const error = await failure(attempt(deliver, { url: receiver.url, body: 1 }, createContext()))
  assert.equal(error.code, undefined)
})

test('a receiver that cannot be reached is an ordinary failure that names the reason', async (t) => {
  const receiver = await createReceiver(t, () => {})
  receiver.server.close()
  await once(receiver.server, 'close')
  const error = await failure(attempt(deliver, { url: `${receiver.url}/s3cret`, body: 1 }, createContext()))
  assert.equal(error.code, undefined)
  assert.doesNotMatch(error.message, /s3cret/)
  assert.match(error.message, /could not be reached: ECONNREFUSED/)
})

test('a receiver that hangs up is an ordinary failure', async (t) => {
  const receiver = await createReceiver(t, (response) => response.destroy())
  const error = await failure(attempt(deliver, { url: receiver.url, body: 1 }, createContext()))
  assert.equal(error.code, undefined)
  assert.match(error.message, /could not be reached/)
})

test('307 and 308 are followed with the same body and key', async (t) => {
  const receiver = await createReceiver(t, (response, { path }) => {
    if (path === '/') response.writeHead(307, { location: '/second' }).end()
    else if (path === '/second') response.writeHead(308, { location: '/third' }).end()
    else response.end()
  })
  await attempt(deliver, { url: receiver.url, body: { order: 17 } }, createContext({ id: 'order-17' }))
  assert.deepEqual(
    receiver.received.map(({ method, path }) => `${method} ${path}`),
    ['POST /', 'POST /second', 'POST /third'],
  )
  for (const { body, headers } of receiver.received) {
    assert.equal(body, '{"order":17}')
    assert.equal(headers['idempotency-key'], 'order-17')
  }
})

for (const [what, status, location, requests] of [
  ['a redirect that would lose the body', 302, '/elsewhere', 1],
  ['a redirect to nowhere', 307, undefined, 1],
  ['a redirect to an invalid URL', 307, 'http://', 1],
  ['a redirect to another protocol', 308, 'ftp://127.0.0.1/', 1],
  ['a circle of redirects', 307, '/', 4],
] as const) {
  test(`${what} is permanent`, async (t) => {
    const receiver = await createReceiver(t, (response) => {
      response.writeHead(status, location === undefined ? {} : { location }).end()
    })
    const error = await failure(attempt(deliver, { url: receiver.url, body: 1 }, createContext()))
    assert.equal(error.code, 'permanent_failure')
    assert.equal(receiver.received.length, requests)
  })
}

for (const url of ['not a url', 'ftp://127.0.0.1/', 'http://user:password@127.0.0.1/', 17]) {
  test(`the schema refuses the url ${JSON.stringify(url)}`, async () => {
    const error = await failure(attempt(deliver, { url, body: 1 }, createContext()))
    assert.equal(error.code, 'invalid_payload')
  })
}

test('the abort of the signal ends a delivery whose receiver never answers', async (t) => {
  const context = createContext()
  const receiver = await createReceiver(t, (response) => {
    response.socket?.once('close', () => receiver.server.emit('hung up'))
    context.abort('deadline')
  })
  const hungUp = once(receiver.server, 'hung up')
  const error = await failure(attempt(deliver, { url: receiver.url, body: 1 }, context))
  assert.equal(error.code, 'deadline')
  await hungUp
})

test('a body that never ends neither delays the outcome nor keeps its socket', async (t) => {
  const receiver = await createReceiver(t, (response) => {
    response.socket?.once('close', () => receiver.server.emit('hung up'))
    response.writeHead(200)
    response.write('x'.repeat(100_000))
  })
  const hungUp = once(receiver.server, 'hung up')
  const context = createContext()
  await attempt(deliver, { url: receiver.url, body: 1 }, context)
  assert.equal(context.lines[0]?.message, 'webhook delivered')
  await hungUp
})
