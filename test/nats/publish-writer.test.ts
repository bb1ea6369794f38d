import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NatsConnection, PublishOptions } from '@nats-io/transport-node'
import fc from 'fast-check'
import { headerBlock, type Publication } from '#src/nats/publication.js'
import { PublishWriter } from '#src/nats/publish-writer.js'

interface Frame {
  readonly subject: string
  readonly reply: string
  readonly block: string
  readonly data: string
}

/** Collects what is written, as the server reads it. Source: NATS client protocol. */
class Wire {
  readonly pieces: Buffer[] = []
  closed = false

  connection(): NatsConnection {
    const sendCommand = (...pieces: (string | Uint8Array)[]): void => {
      for (const piece of pieces) this.pieces.push(Buffer.from(piece as string))
    }
    return { isClosed: () => this.closed, protocol: { sendCommand } } as unknown as NatsConnection
  }

  frames(): Frame[] {
    const bytes = Buffer.concat(this.pieces)
    const frames: Frame[] = []
    for (let at = 0; at < bytes.length; ) {
      const end = bytes.indexOf('\r\n', at)
      const [verb, subject, reply, ...sizes] = bytes.subarray(at, end).toString().split(' ')
      assert.ok(verb === 'PUB' ? sizes.length === 1 : verb === 'HPUB' && sizes.length === 2)
      const total = Number(sizes.at(-1))
      const blockBytes = verb === 'PUB' ? 0 : Number(sizes[0])
      const body = bytes.subarray(end + 2, end + 2 + total)
      assert.equal(bytes.subarray(end + 2 + total, end + 4 + total).toString(), '\r\n')
      const block = body.subarray(0, blockBytes).toString()
      frames.push({
        subject: subject!,
        reply: reply!,
        block,
        data: body.subarray(blockBytes).toString('hex'),
      })
      at = end + 4 + total
    }
    return frames
  }
}

function add(writer: PublishWriter, publication: Publication, reply: string): void {
  const block = headerBlock(publication.id, publication.headers)
  const blockBytes = Buffer.byteLength(block)
  writer.add(
    { publication, block, blockBytes, bytes: blockBytes + Buffer.byteLength(publication.data) },
    reply,
  )
}

const text = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('a\r\nPUB x 1\r\n', 'x'.repeat(70_000)),
)
const publications = fc.array(
  fc.record({
    subject: fc.constantFrom('jobs.a', 'jobs.b.c'),
    stream: fc.constant('JOBS'),
    id: fc.stringMatching(/^[a-z]{1,9}$/),
    headers: fc.array(fc.tuple(fc.constantFrom('a', 'b'), fc.constantFrom('1', 'größe')), { maxLength: 2 }),
    data: fc.oneof(text, fc.uint8Array({ maxLength: 20 })),
  }),
  { maxLength: 12 },
)

test('the server reads what was added, in its order and whatever it is made of', () => {
  fc.assert(
    fc.property(publications, (all) => {
      const wire = new Wire()
      const writer = new PublishWriter(wire.connection())
      for (const [n, publication] of all.entries()) add(writer, publication, `inbox.${n}`)
      writer.flush()
      const expected = all.map(({ subject, id, headers, data }, n) => ({
        subject,
        reply: `inbox.${n}`,
        block: headerBlock(id, headers),
        data: Buffer.from(data as string).toString('hex'),
      }))
      assert.deepEqual(wire.frames(), expected)
    }),
  )
})

test('what is not flushed goes out in the same turn, as one piece, and nothing over a closed connection', async () => {
  const wire = new Wire()
  const writer = new PublishWriter(wire.connection())
  const job = { subject: 'jobs.a', stream: 'JOBS', headers: [], data: '1' }
  add(writer, job, 'inbox.0')
  add(writer, job, 'inbox.1')
  assert.equal(wire.pieces.length, 0)
  await new Promise(setImmediate)
  assert.equal(wire.pieces.length, 1)
  assert.deepEqual(
    wire.frames().map(({ reply }) => reply),
    ['inbox.0', 'inbox.1'],
  )
  wire.closed = true
  add(writer, job, 'inbox.2')
  await new Promise(setImmediate)
  assert.equal(wire.pieces.length, 1)
})

test('a client library without the inner writer publishes one by one', () => {
  const published: [string, unknown, string | undefined, string[]][] = []
  const publish = (subject: string, data: unknown, { reply, headers }: PublishOptions): void => {
    published.push([subject, data, reply, [...headers!].map(([name, values]) => `${name}=${values}`)])
  }
  const writer = new PublishWriter({ isClosed: () => false, publish } as unknown as NatsConnection)
  add(writer, { subject: 'jobs.a', stream: 'JOBS', id: '7', headers: [['a', 'b']], data: '1' }, 'inbox.0')
  assert.deepEqual(published, [['jobs.a', '1', 'inbox.0', ['a=b', 'Nats-Msg-Id=7']]])
})
