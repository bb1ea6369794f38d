import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const script = fileURLToPath(new URL('../../../deploy/healthcheck.mjs', import.meta.url))

test('the health check is 0 when the supervisor is alive', async (t) => {
  const port = await serve(t, 200)
  assert.deepEqual(await check({ MILLRACE_HTTP_PORT: port }), { code: 0, text: '/healthz answered 200' })
  for (const host of ['0.0.0.0', '127.0.0.1', 'localhost', '']) {
    const { code } = await check({ MILLRACE_HTTP_PORT: port, MILLRACE_HTTP_HOST: host })
    assert.equal(code, 0, `host ${JSON.stringify(host)}`)
  }
})

test('the health check is 1 when it answers something else, not at all, or is not there', async (t) => {
  const unwell = await check({ MILLRACE_HTTP_PORT: await serve(t, 503) })
  assert.deepEqual(unwell, { code: 1, text: '/healthz answered 503' })
  const silent = await check({ MILLRACE_HTTP_PORT: await serve(t, undefined) })
  assert.deepEqual(silent, { code: 1, text: 'no answer within 3000 ms' })
  const gone = createServer()
  await once(gone.listen(0, '127.0.0.1'), 'listening')
  const port = String((gone.address() as AddressInfo).port)
  await new Promise((resolve) => gone.close(resolve))
  const { code, text } = await check({ MILLRACE_HTTP_PORT: port })
  assert.equal(code, 1)
  assert.match(text, /ECONNREFUSED/)
})

test('the health check is 0 when health is not served, or nobody can know where', async () => {
  for (const port of ['off', '0', ' off ']) {
    assert.equal((await check({ MILLRACE_HTTP_PORT: port })).code, 0, port)
  }
})

/** Serves `status` under /healthz and 404 elsewhere; undefined never answers. */
async function serve(t: TestContext, status: number | undefined): Promise<string> {
  const server = createServer((request, response) => {
    if (status === undefined) return
    response.statusCode = request.url === '/healthz' ? status : 404
    response.end()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return String((server.address() as AddressInfo).port)
}

async function check(env: Record<string, string>): Promise<{ code: number; text: string }> {
  const child = spawn(process.execPath, [script], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  const [code] = (await once(child, 'close')) as [number]
  return { code, text: text.trim() }
}
