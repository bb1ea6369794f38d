import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { connect } from '@nats-io/transport-node'
import { Requests } from '#src/nats/requests.js'
import { startTestServer } from '../support/nats-server.ts'

/** Requests on one connection, and another that answers `echo` with what was asked and hears `silence`. */
async function withServer(t: TestContext, limitMs: number) {
  const server = await startTestServer(t)
  const [ours, theirs] = await Promise.all([
    connect({ servers: server.url }),
    connect({ servers: server.url }),
  ])
  t.after(() => Promise.all([ours.close(), theirs.close()]))
  theirs.subscribe('echo', { callback: (_, message) => void message.respond(message.data) })
  theirs.subscribe('silence', { callback: () => {} })
  await theirs.flush()
  return { nc: ours, requests: new Requests(ours, limitMs) }
}

test('each of many requests gets its own answer', async (t) => {
  const { requests } = await withServer(t, 30_000)
  const asked = Array.from({ length: 1_000 }, (_, index) => `number ${index}`)
  const answers = await Promise.all(asked.map((data) => requests.send('echo', data)))
  assert.deepEqual(
    answers.map((answer) => answer.string()),
    asked,
  )
})

test('what nobody takes, and what nobody answers in time, is an error; others are not held up', async (t) => {
  const { requests } = await withServer(t, 200)
  const silent = assert.rejects(requests.send('silence', ''), /no answer within 200 ms/)
  await assert.rejects(requests.send('nowhere', ''), { name: 'NoResponders' })
  assert.equal((await requests.send('echo', 'ä')).string(), 'ä')
  await silent
})

test('what is larger than the server takes is refused here, and the connection lives on', async (t) => {
  const { nc, requests } = await withServer(t, 30_000)
  const tooLarge = 'x'.repeat(nc.info!.max_payload + 1)
  await assert.rejects(requests.send('echo', tooLarge), {
    code: 'broker_request_failed',
    message: /has 1048577 bytes, and the server takes 1048576/,
  })
  assert.equal((await requests.send('echo', 'still here')).string(), 'still here')
})

test('a connection that is closed ends what waits, and what comes after', async (t) => {
  const { nc, requests } = await withServer(t, 30_000)
  const waiting = assert.rejects(requests.send('silence', ''), { name: 'ClosedConnectionError' })
  await nc.close()
  await waiting
  await assert.rejects(requests.send('echo', ''), { name: 'ClosedConnectionError' })
})
