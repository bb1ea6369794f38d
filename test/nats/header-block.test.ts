import assert from 'node:assert/strict'
import { test } from 'node:test'
import { headers as createHeaders } from '@nats-io/transport-node'
import fc from 'fast-check'
import { readHeaderBlock, readHeaders } from '#src/nats/header-block.js'

const blockOf = (lines: string[]) => Buffer.from(`NATS/1.0\r\n${lines.join('\r\n')}\r\n\r\n`)
const block = (...lines: string[]) => blockOf(lines)
const many = (count: number, prefix: string) =>
  blockOf(Array.from({ length: count }, (_, index) => `${prefix}${index.toString(36)}:`))

test('a block is read in order, with repetitions, spaces around values taken away', () => {
  assert.deepEqual(readHeaderBlock(block('a: 1 ', 'A:2', 'a:', 'x:y:z', ':nameless', 'no colon')), {
    headers: [
      ['a', '1'],
      ['A', '2'],
      ['a', ''],
      ['x', 'y:z'],
      ['', 'nameless'],
    ],
    problem: undefined,
    unread: 0,
  })
  assert.deepEqual(readHeaderBlock(block()), { headers: undefined, problem: undefined, unread: 0 })
})

test('what is no block, or holds what no client may send, is a problem and no crash', () => {
  const problem = 'the header block is not a NATS header block'
  for (const bytes of [
    Buffer.from('HTTP/1.1\r\na: 1\r\n\r\n'),
    Buffer.from([0xff, 0x00, 0x0d]),
    block('a b: 1'),
    block('ä: 1'),
    block('a: 1\n2'),
    block('a: 1\r2'),
    block('a\t: 1'),
  ])
    assert.deepEqual(readHeaderBlock(bytes), { headers: [], problem, unread: 0 }, bytes.toString())
  fc.assert(fc.property(fc.uint8Array(), (bytes) => void readHeaderBlock(bytes)))
})

test('what the client writes is read as it was written', () => {
  const name = fc.stringMatching(/^[!-9;-~]{1,8}$/)
  const value = fc.string({ unit: 'grapheme' }).filter((text) => !/[\r\n]/.test(text))
  fc.assert(
    fc.property(fc.dictionary(name, fc.array(value, { minLength: 1 }), { maxKeys: 20 }), (wanted) => {
      const written = createHeaders()
      const expected: string[][] = []
      for (const [key, values] of Object.entries(wanted))
        for (const each of values) {
          written.append(key, each)
          expected.push([key, each.trim()])
        }
      const bytes = (written as unknown as { encode(): Uint8Array }).encode()
      assert.deepEqual(readHeaderBlock(bytes).headers ?? [], expected)
    }),
  )
})

test('too many headers are a problem, found after those that are allowed', () => {
  assert.equal(readHeaderBlock(many(256, 'x')).problem, undefined)
  const { headers, problem, unread } = readHeaderBlock(many(200_000, 'x'))
  assert.equal(headers?.length, 256)
  assert.equal(unread, 200_000 - 256)
  assert.match(problem!, /more than 256 headers/)
  const servers = readHeaderBlock(many(60, 'Nats-'))
  assert.match(servers.problem!, /more than 256/)
  assert.equal(servers.unread, 0, 'no dead letter would have kept them')
  // Ours, which a job gets when it is moved, do not count against the application's.
  assert.equal(
    readHeaderBlock(block(...many(256, 'x').toString().split('\r\n').slice(1, 257), 'Nats-Msg-Id:1')).problem,
    undefined,
  )
})

test('the block is found in front of the payload', () => {
  const bytes = Buffer.concat([Buffer.from('before'), block('a: 1'), Buffer.from('{}')])
  const at = 'before'.length + block('a: 1').length
  const message = {
    reply: '$JS.ACK.x',
    data: bytes.subarray(at),
    size: () => 'jobs.a'.length + '$JS.ACK.x'.length + block('a: 1').length + 2,
  }
  assert.deepEqual(readHeaders(message, 'jobs.a').headers, [['a', '1']])
  assert.deepEqual(readHeaders({ data: Buffer.from('{}'), size: () => 8 }, 'jobs.a'), {
    headers: undefined,
    problem: undefined,
    unread: 0,
  })
})
