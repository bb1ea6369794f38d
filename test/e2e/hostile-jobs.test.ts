import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import { World } from '../support/world.ts'

/** Publishes bytes that no client would: the server takes any header block. */
function publish(url: string, subject: string, block: string, body: string): void {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  const head = Buffer.from(block)
  const payload = Buffer.from(body)
  const sizes = `${head.length} ${head.length + payload.length}`
  socket.on('error', () => {})
  socket.write('CONNECT {"verbose":false,"headers":true}\r\n')
  socket.write(
    Buffer.concat([Buffer.from(`HPUB ${subject} ${sizes}\r\n`), head, payload, Buffer.from('\r\nPING\r\n')]),
  )
  socket.on('data', (data) => {
    if (data.includes('PONG')) socket.destroy()
  })
}

const headers = (...lines: string[]) => `NATS/1.0\r\n${lines.join('\r\n')}\r\n\r\n`
/** A stream takes 64 KiB of headers. */
const tooMany = Array.from({ length: 9_000 }, (_, index) => `h${index.toString(36)}:`)

test('header blocks that no client would send make dead letters, and hold nobody up', async (t) => {
  const world = await World.create(t)
  const { broker, ledger, server } = world
  const supervisor = await world.supervise()
  const blocks: [what: string, block: string][] = [
    ['as many different headers as there can be', headers(...tooMany)],
    ['as many of ours', headers(...tooMany.slice(0, 4_000).map((line) => `Millrace-${line}`))],
    ['the same header over and over', headers(...tooMany.map(() => 'a:'))],
    ['no version', 'a: 1\r\n\r\n'],
    ['a line feed inside a value', headers('a: 1\nNats-Rollup: all')],
    ['a name with a space', headers('a b: 1')],
    ['bytes', '\x00\x01\x02\r\n'],
  ]
  for (const [, block] of blocks) publish(server.url, 'jobs.act', block, '{"do":"return"}')
  await eventually(
    'all are dead letters',
    async () => (await broker.deadLetters()).length === blocks.length,
    60_000,
  )
  const letters = await broker.deadLetters()
  for (const letter of letters) {
    assert.equal(letter.reason, 'invalid')
    assert.equal(Buffer.from(letter.body).toString(), '{"do":"return"}')
    assert.equal(letter.headers['Nats-Rollup'], undefined)
  }
  const missing = letters.map((letter) => letter.headers['Millrace-Headers-Dropped'])
  assert.equal(missing.filter((count) => count === `${tooMany.length - 256}`).length, 2)
  assert.equal(missing.filter((count) => count === undefined).length, blocks.length - 3)
  const id = await broker.enqueue('act', { do: 'return' })
  await eventually('the next job runs', () => ledger.ends(id).length === 1)
  assert.equal(supervisor.lines.filter(({ msg }) => msg === 'lease lost').length, 0)
})

test('names of the prototype, escapes and newlines in ids and headers stay what they are', async (t) => {
  const world = await World.create(t)
  const { broker, ledger, server } = world
  const supervisor = await world.supervise()
  const id = 'evil\u001b[2J\u009b2J"}'
  publish(
    server.url,
    'jobs.act',
    headers(`Nats-Msg-Id: ${id}`, '__proto__: polluted', 'constructor: x', 'toString: y'),
    '{"do":"return","__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}',
  )
  await eventually('it has run', () => ledger.ends(id).length === 1)
  const clean = await broker.enqueue('act', { do: 'return' })
  await eventually('the next one has run', () => ledger.ends(clean).length === 1)
  await broker.drained()
  await supervisor.stop()
  const about = supervisor.linesAbout(id)
  assert.ok(
    about.some(({ msg }) => msg === 'job completed'),
    'each line is JSON with the whole id',
  )
  assert.ok(!supervisor.stdout.includes('\u001b'), 'no raw escape in the log')
})

test('subjects that name no handler are nobody’s job and no label', async (t) => {
  const world = await World.create(t)
  const supervisor = await world.supervise()
  const odd = ['constructor', '__proto__', '..%2f..%2fetc', 'act%00', 'ACT', 'act.x', '$JS', 'a"b']
  for (const name of odd)
    publish(world.server.url, `jobs.${name.replaceAll('..', '')}`, headers('a: 1'), '{}')
  await supervisor.metric('millrace_unclaimed_jobs', {}, odd.length)
  const { text } = await supervisor.metrics()
  for (const name of ['constructor', '__proto__', 'etc', 'ACT', '$JS'])
    assert.ok(!text.includes(`"${name}`), name)
})
