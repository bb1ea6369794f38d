import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { test } from 'node:test'
import { HttpFront } from '#src/dev/http-front.js'

test('one port shows the newest that is ready, and stays open', async (t) => {
  const front = new HttpFront()
  t.after(() => front.close())
  assert.equal(await front.url(), undefined)
  const open = (name: string, reasons: string[]) =>
    front.open({
      host: '127.0.0.1',
      port: 0,
      ready: () => reasons,
      metrics: async () => ({ contentType: 'text/plain', body: name }),
      admin: {
        token: null,
        actions: { handlers: () => [name], act: async () => {} },
        onRecord: () => {},
      },
    })
  const first = await open('first', [])
  const get = async (path: string, method = 'GET'): Promise<[number, string]> => {
    const response = await fetch(first.url + path, { method })
    return [response.status, await response.text()]
  }
  const starting = ['starting']
  const second = await open('second', starting)
  assert.equal(second.url, first.url)
  assert.equal(await front.url(), first.url)
  assert.deepEqual(await get('/metrics'), [200, 'first'])
  starting.pop()
  assert.deepEqual(await get('/metrics'), [200, 'second'])
  const [status] = await get('/api/handlers/first/pause', 'POST')
  assert.equal(status, 404, 'the newest does not have it')
  await second.close()
  assert.deepEqual(await get('/metrics'), [200, 'first'])
  await first.close()
  assert.deepEqual(await get('/readyz'), [503, '{"ready":false,"reasons":["no handler"]}\n'])
  assert.equal((await get('/healthz'))[0], 200)
})

test('a port that could not be opened is tried again', async (t) => {
  const other = createServer()
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  t.after(() => other.close())
  const front = new HttpFront()
  t.after(() => front.close())
  const open = () =>
    front.open({
      host: '127.0.0.1',
      port: (other.address() as { port: number } | null)?.port ?? port,
      ready: () => [],
      metrics: async () => ({ contentType: 'text/plain', body: '' }),
    })
  const { port } = other.address() as { port: number }
  await assert.rejects(open())
  assert.equal(await front.url(), undefined)
  await new Promise((resolve) => other.close(resolve))
  assert.equal((await open()).url, `http://127.0.0.1:${port}`)
})
