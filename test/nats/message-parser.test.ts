import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import { connect, Kind, type MsgArg, Parser, type ParserEvent } from '@nats-io/transport-node'
import fc from 'fast-check'
import {
  type ClientParser,
  hasNoHeaders,
  hastenMessages,
  MessageParser,
  replyOf,
} from '#src/nats/message-parser.js'

type Read = { kind: number; line?: Record<string, unknown>; data?: string | undefined }

const text = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString('latin1')

const asRead = ({ kind, msg, data }: ParserEvent): Read => {
  if (!msg) return { kind, data: text(data) }
  const { subject, sid, reply, hdr, size } = msg
  return { kind, line: { subject: text(subject), sid, reply: text(reply), hdr, size }, data: text(data) }
}

/** All that a parser makes of these pieces, and at last what it throws. */
function read(pieces: readonly Uint8Array[], isOurs: boolean): { reads: Read[]; whole: number } {
  const reads: Read[] = []
  let whole = 0
  const client = new Parser({ push: (event) => reads.push(asRead(event as ParserEvent)) })
  const ours = new MessageParser(client as unknown as ClientParser, (line, data) => {
    whole += 1
    const message: { reply?: string; _msg: unknown } = { _msg: line }
    const reply = line.reply && new TextDecoder().decode(line.reply)
    assert.deepEqual([line.reply && replyOf(message), hasNoHeaders(message)], [reply, line.hdr < 0])
    reads.push(asRead({ kind: Kind.MSG, msg: line as MsgArg, data }))
  })
  try {
    for (const piece of pieces) (isOurs ? ours : client).parse(piece)
  } catch (error) {
    assert.ok(error instanceof Error)
    reads.push({ kind: -1 })
  }
  return { reads, whole }
}

// A subject may have any character but white space.
const token = fc.oneof(
  fc.stringMatching(/^[!-~]{1,30}$/),
  fc.string({
    unit: fc.constantFrom('a', '7', '.', '\x01', '\b', '\x1f', '\x7f', '\xff'),
    minLength: 1,
    maxLength: 6,
  }),
)
const payload = fc.oneof(
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  // What looks like the protocol must not be taken for it.
  fc
    .constantFrom('', '\r\n', '\n\n\r\nMSG a 1 0\r\n\r\n', 'PING\r\n', 'MSG ')
    .map((each) => Buffer.from(each)),
)
const message = fc
  .tuple(token, fc.nat(99), fc.option(token, { nil: '' }), fc.option(payload, { nil: undefined }), payload)
  .map(([subject, sid, reply, headers, body]) => {
    const data = headers ? Buffer.concat([headers, body]) : body
    const sizes = headers ? `${headers.length} ${data.length}` : data.length
    const line = `${headers ? 'HMSG' : 'MSG'} ${subject} ${sid} ${reply === '' ? '' : `${reply} `}${sizes}\r\n`
    return Buffer.concat([Buffer.from(line, 'latin1'), data, Buffer.from('\r\n')])
  })
const other = fc.constantFrom(
  'PING\r\n',
  'PONG\r\n',
  '+OK\r\n',
  "-ERR 'no'\r\n",
  'INFO {"a":1}\r\n',
  'ping\r\n',
)
const improper = fc.constantFrom(
  'msg a 1 0\r\n\r\n',
  'MSG  a\t1 0\r\n\r\n',
  'MSG a 1 b 2 0\r\n\r\n',
  'MSG a 1\r\n\r\n',
  'MSG a x 0\r\n\r\n',
  'MSG a 1 -1\r\n\r\n',
  'MSG a 1 b 3x\r\nabc\r\n',
  'MSG a 1 99999999999999999\r\n\r\n',
  'MSG a 1 67108865\r\n',
  'MSG a 1 2\nok\r\n',
  'MSG a 1 2\r\nok\n',
  'MSG a 1 2\r\nok!\r\n',
  'HMSG a 1 2\r\nok\r\n',
  'HMSG a 1 3 2\r\nok\r\n',
  'HMSG a 1 b c 1 2\r\nok\r\n',
  'HMSX a 1 2\r\n',
  'MXG a 1 2\r\n',
  'MSX a 1 0\r\n\r\n',
  'MSG  1 0\r\n\r\n',
  'MSG a 1 2\n\nkk\r\n',
  'MSG a 1111111111111111 1\r\na\r\n',
  'MSG a\n5 1 2\r\nok\r\n',
  'MSG a 1\x01 2\r\nok\r\n',
  'MSG a 1\x013 2\r\nok\r\n',
  'MSG a 1  2\r\nok\r\n',
  'HMSG a 1  1 2\r\nok\r\n',
  'X\r\n',
)

test('property: messages are read as the client reads them, wherever the pieces are cut', () => {
  let whole = 0
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          { weight: 20, arbitrary: message },
          { weight: 4, arbitrary: other.map((line) => Buffer.from(line)) },
          { weight: 1, arbitrary: improper.map((line) => Buffer.from(line)) },
        ),
        { maxLength: 12, size: 'max' },
      ),
      fc.array(fc.nat(2_000), { maxLength: 6 }),
      (operations, cuts) => {
        const bytes = Buffer.concat(operations)
        const bounds = [0, ...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length]
        // Of one piece of memory, as from a socket.
        const pieces = bounds.slice(1).map((end, index) => bytes.subarray(bounds[index], end))
        const ours = read(pieces, true)
        assert.deepEqual(ours.reads, read(pieces, false).reads)
        whole += ours.whole
      },
    ),
    { numRuns: 2_000 },
  )
  assert.ok(whole > 2_000, `only ${whole} messages were not left to the client`)
})

test('every cut of a message is read', () => {
  const bytes = Buffer.from(
    'HMSG jobs.a 1 $JS.ACK.A.b.1.2.3.4.5 3 6\r\nh\n\rp\r\n\r\nMSG b 2 0\r\n\r\nMSG c 3 re 1\r\nx\r\n',
  )
  const [all] = [read([bytes], false).reads]
  assert.equal(all!.length, 3)
  assert.equal(read([bytes], true).whole, 3)
  for (let cut = 0; cut <= bytes.length; cut += 1) {
    for (let next = cut; next <= bytes.length; next += 1) {
      const pieces = [bytes.subarray(0, cut), bytes.subarray(cut, next), bytes.subarray(next)]
      assert.deepEqual(read(pieces, true).reads, all)
    }
  }
})

test('the client in use lets itself be hastened, on its first connection and on the next', async (t) => {
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    socket.write('INFO {"max_payload":1000,"version":"2.9.10","headers":true,"proto":1}\r\n')
    socket.on('data', (data) => {
      if (data.includes('PING')) socket.write('PONG\r\n')
      if (data.includes('SUB a')) socket.write(`MSG a 1 re.${sockets.length} 1\r\n${sockets.length}\r\n`)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const nc = await connect({ port: (server.address() as { port: number }).port, reconnectTimeWait: 1 })
  t.after(async () => {
    await nc.close()
    server.close()
  })
  hastenMessages(nc)
  const { protocol } = nc as unknown as { protocol: { parser: unknown } }
  const first = protocol.parser
  assert.ok(first instanceof MessageParser)
  const messages = nc.subscribe('a')[Symbol.asyncIterator]()
  const { value } = await messages.next()
  assert.equal(value?.string(), '1')
  assert.ok(hasNoHeaders(value!))
  assert.deepEqual([replyOf(value!), value!.reply], ['re.1', 're.1'])
  sockets[0]!.destroy()
  assert.equal((await messages.next()).value?.string(), '2')
  assert.ok(protocol.parser instanceof MessageParser)
  assert.notEqual(protocol.parser, first)
})
