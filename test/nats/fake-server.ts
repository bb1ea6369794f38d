import { createServer, type Socket } from 'node:net'
import type { TestContext } from 'node:test'

/** A server that only says who it is, answers pings and, if asked to, that nobody answers requests: enough for what a real one cannot be made to say. */
export async function startFakeServer(
  t: TestContext,
  info: Record<string, unknown>,
  answers: 'no responders' | 'nothing' = 'nothing',
): Promise<string> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    let subscription = '0'
    socket.write(
      `INFO ${JSON.stringify({ server_id: 'FAKE', version: '2.10.0', proto: 1, headers: true, max_payload: 1_048_576, jetstream: true, ...info })}\r\n`,
    )
    socket.on('data', (bytes) => {
      const commands = bytes.toString()
      for (const _ of commands.matchAll(/PING\r\n/g)) socket.write('PONG\r\n')
      subscription = /SUB \S+ (\d+)/.exec(commands)?.[1] ?? subscription
      for (const [, reply] of commands.matchAll(/PUB \S+ (\S+) 0\r\n/g)) {
        if (answers === 'no responders')
          socket.write(`HMSG ${reply} ${subscription} 16 16\r\nNATS/1.0 503\r\n\r\n\r\n`)
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the fake server has no port')
  return `nats://127.0.0.1:${address.port}`
}
