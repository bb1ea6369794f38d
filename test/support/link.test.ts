import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { eventually } from './eventually.ts'
import { Link, linkTo } from './link.ts'

/** A server that answers each byte with itself, and what a client behind a link hears from it. */
async function echo(t: TestContext) {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const link = await linkTo(t, `nats://127.0.0.1:${(server.address() as AddressInfo).port}`)
  const dial = (to = link) => {
    const socket = connect(to.port, '127.0.0.1')
    const heard = { text: '', ended: '' }
    socket.on('data', (chunk) => {
      heard.text += chunk
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      heard.ended = error.code ?? error.message
    })
    socket.on('close', () => {
      heard.ended ||= 'closed'
    })
    t.after(() => socket.destroy())
    return { socket, heard }
  }
  const hears = async ({ heard }: { heard: { text: string } }, text: string) =>
    eventually(`it hears ${text}`, () => heard.text === text)
  return { link, dial, hears }
}

async function neverWithin(ms: number, condition: () => boolean): Promise<void> {
  await assert.rejects(eventually('it', condition, ms))
}

const say = ({ socket }: { socket: Socket }, text: string) => socket.write(text)

test('a link that passes is not noticed', async (t) => {
  const { dial, hears } = await echo(t)
  const client = dial()
  say(client, 'a')
  await hears(client, 'a')
  client.socket.end()
  await eventually('the other end hears of the end', () => client.heard.ended === 'closed')
})

test('what a blackhole swallows goes on when the link passes again', async (t) => {
  for (const mode of ['blackhole', 'to-server-lost', 'to-client-lost'] as const) {
    const { link, dial, hears } = await echo(t)
    const client = dial()
    say(client, 'a')
    await hears(client, 'a')
    link.set(mode)
    say(client, 'b')
    await neverWithin(100, () => client.heard.text !== 'a' || client.heard.ended !== '')
    link.set('pass')
    await hears(client, 'ab')
  }
})

test('a cut ends what is connected and refuses what comes, until it passes again', async (t) => {
  const { link, dial, hears } = await echo(t)
  const client = dial()
  say(client, 'a')
  await hears(client, 'a')
  link.set('cut')
  await eventually('it is closed', () => client.heard.ended !== '')
  const second = dial()
  await eventually('it is refused', () => second.heard.ended !== '')
  link.set('pass')
  const third = dial()
  say(third, 'c')
  await hears(third, 'c')
})

test('a half-open connection is dead without a word while new ones are served', async (t) => {
  const { link, dial, hears } = await echo(t)
  const client = dial()
  say(client, 'a')
  await hears(client, 'a')
  link.halfOpen()
  say(client, 'b')
  const second = dial()
  say(second, 'c')
  await hears(second, 'c')
  link.set('pass')
  await neverWithin(100, () => client.heard.text !== 'a' || client.heard.ended !== '')
})

test('a reset is a reset, and a delay keeps the order', async (t) => {
  const { link, dial, hears } = await echo(t)
  const client = dial()
  say(client, 'a')
  await hears(client, 'a')
  link.reset()
  await eventually('it is reset', () => client.heard.ended === 'ECONNRESET')
  link.delay(20)
  const second = dial()
  for (const letter of 'bcdef') say(second, letter)
  await hears(second, 'bcdef')
})

test('a client of a link that does not know its server yet waits until it does', async (t) => {
  const known = await echo(t)
  const link = await Link.to()
  t.after(() => link.close())
  const early = known.dial(link)
  say(early, 'early')
  await once(early.socket, 'connect')
  link.retarget(known.link.url)
  await known.hears(early, 'early')
})
