import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { readAtOnce } from '#src/nats/socket-reader.js'
import { startFakeServer } from './fake-server.ts'

/** A connection that reads at once, what a callback on `b` is told, and what the reader says failed. */
async function connected(t: TestContext) {
  const nc = await connect({
    servers: await startFakeServer(t, {}),
    reconnectTimeWait: 1,
    pingInterval: 50,
    maxPingOut: 2,
  })
  t.after(() => nc.close())
  const failures: unknown[] = []
  const heard: string[] = []
  readAtOnce(nc, (error) => failures.push(error))
  const { protocol } = nc as unknown as { protocol: { transport: { socket: Socket; setupHandlers(): void } } }
  const parts = {
    failures,
    heard,
    onHeard: (_text: string) => {},
    bring: (text: string) => protocol.transport.socket.emit('data', Buffer.from(text)),
    end: () => protocol.transport.socket.destroy(),
  }
  nc.subscribe('b', {
    callback(_error, message) {
      heard.push(message.string())
      parts.onHeard(message.string())
    },
  })
  return { ...parts, nc, protocol, parts }
}

const message = (text: string) => `MSG b 1 ${text.length}\r\n${text}\r\n`

/** Waits until the client has connected anew. */
async function reconnected(nc: NatsConnection): Promise<void> {
  for await (const { type } of nc.status()) if (type === 'reconnect') return
}

test('what the socket brings is read before anything else happens, on the next connection, too', async (t) => {
  const { nc, bring, end, heard } = await connected(t)
  bring(message('one') + message('two').slice(0, 9))
  assert.deepEqual(heard, ['one'])
  bring(message('two').slice(9))
  assert.deepEqual(heard, ['one', 'two'])
  const again = reconnected(nc)
  end()
  await again
  bring(message('three'))
  assert.deepEqual(heard, ['one', 'two', 'three'])
})

test('a piece that comes while another one is read waits for its end', async (t) => {
  const { parts, bring, heard } = await connected(t)
  parts.onHeard = (text) => {
    if (text === 'one') bring(`${message('three').slice(5)}${message('four')}`)
  }
  bring(message('one') + message('two') + message('three').slice(0, 5))
  assert.deepEqual(heard, ['one', 'two', 'three', 'four'])
})

test('what a connection brings that the client has left is not read', async (t) => {
  const { protocol, bring, heard } = await connected(t)
  const { transport } = protocol
  const { socket } = transport
  protocol.transport = { socket, setupHandlers() {} }
  socket.emit('data', Buffer.from(message('late')))
  protocol.transport = transport
  bring(message('in time'))
  assert.deepEqual(heard, ['in time'])
})

for (const [what, brings] of [
  ['what is not of the protocol', 'X\r\n'],
  ['what makes a callback throw', message('throw')],
] as const) {
  test(`${what} is told, and the connection is replaced`, async (t) => {
    const { nc, parts, bring, heard, failures } = await connected(t)
    parts.onHeard = (text) => {
      if (text === 'throw') throw new Error('a defect')
    }
    const again = reconnected(nc)
    bring(brings)
    assert.equal(failures.length, 1)
    assert.ok(failures[0] instanceof Error)
    bring(message('unread'))
    await again
    bring(message('read'))
    assert.equal(heard.includes('unread'), false)
    assert.equal(heard.at(-1), 'read')
  })
}

test('a client that is not as expected reads by itself', () => {
  const failed = () => assert.fail('nothing was read')
  for (const protocol of [undefined, {}, { parser: { parse() {} }, transport: {} }]) {
    readAtOnce({ protocol } as unknown as NatsConnection, failed)
  }
})
