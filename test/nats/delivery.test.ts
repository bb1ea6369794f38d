import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type DeliverySource, readAckSubject, toDelivery } from '#src/nats/delivery.js'

const storedAt = Date.UTC(2026, 0, 31, 12, 0, 0, 123)
const reply = `$JS.ACK.JOBS.email_send.3.42.57.${storedAt}456789.7`
const source = (handler: string): DeliverySource => ({
  handler,
  priority: 'normal',
  stream: 'JOBS',
  subject: `jobs.${handler}`,
})
const read = {
  reply,
  stream: 'JOBS',
  consumer: 'email_send',
  deliveries: 3,
  sequence: 42,
  delivered: 57,
  storedAt,
  pending: 7,
}

test('the reply of a delivered message says where it is from, how often it came and when it was stored', () => {
  assert.deepEqual(readAckSubject(reply), read)
})

test('the longer form with domain and account is read as well, with or without the token at its end', () => {
  const long = `$JS.ACK._.account.JOBS.email_send.3.42.57.${storedAt}456789.7`
  assert.deepEqual(readAckSubject(long), { ...read, reply: long })
  assert.deepEqual(readAckSubject(`${long}.random`), { ...read, reply: `${long}.random` })
})

test('what is no ack subject is none', () => {
  for (const other of [
    '',
    '_INBOX.abc.1',
    '$JS.ACK',
    '$JS.ACK.JOBS.c.1.2.3',
    '$JS.API.JOBS.c.1.2.3.4.5',
    'x$JS.ACK.JOBS.c.1.2.3.4.5',
  ]) {
    assert.equal(readAckSubject(other), undefined, other)
  }
})

test('a reply that only begins like the last one is none', () => {
  assert.deepEqual(readAckSubject(reply), read)
  const tokens = reply.split('.')
  for (let count = 4; count < 8; count += 1) {
    assert.equal(readAckSubject(tokens.slice(0, count).join('.')), undefined, String(count))
  }
  const other = `$JS.ACK.JOBS.email_sender.3.42.57.${storedAt}456789.7`
  assert.deepEqual(readAckSubject(other), { ...read, reply: other, consumer: 'email_sender' })
})

test('any numbers that a server can write are read exactly, to the millisecond', () => {
  const whole = (max: number) => fc.integer({ min: 1, max })
  const names = fc.stringMatching(/^[A-Za-z0-9_-]{1,20}$/)
  fc.assert(
    fc.property(
      names,
      names,
      whole(1e9),
      whole(Number.MAX_SAFE_INTEGER),
      whole(4e12),
      fc.nat(999_999),
      fc.boolean(),
      (stream, consumer, deliveries, sequence, at, nanoseconds, long) => {
        fc.pre(at >= 1_000)
        const time = `${at}${String(nanoseconds).padStart(6, '0')}`
        const subject = `$JS.ACK.${long ? 'hub.A1.' : ''}${stream}.${consumer}.${deliveries}.${sequence}.1.${time}.${deliveries + 1}`
        assert.deepEqual(readAckSubject(subject), {
          reply: subject,
          stream,
          consumer,
          deliveries,
          sequence,
          delivered: 1,
          storedAt: at,
          pending: deliveries + 1,
        })
      },
    ),
  )
})

test('arbitrary replies are read or refused without throwing', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ maxLength: 5 })), (tokens) => {
      readAckSubject(tokens.join('.'))
      readAckSubject(`$JS.ACK.${tokens.join('.')}`)
    }),
  )
})

const data = Buffer.from('{}')

test('a delivery has the bytes, and its headers in order and as often as they were sent', () => {
  const headers = new Map([
    ['X-One', ['1', '3']],
    ['x-one', ['2']],
  ])
  assert.deepEqual(toDelivery({ reply, data, headers }, read, source('email.send')), {
    handler: 'email.send',
    priority: 'normal',
    stream: 'JOBS',
    subject: 'jobs.email.send',
    sequence: 42,
    deliveries: 3,
    pending: 7,
    storedAt,
    reply,
    data,
    headers: [
      ['X-One', '1'],
      ['X-One', '3'],
      ['x-one', '2'],
    ],
    headerProblem: undefined,
    headersUnread: 0,
  })
})

test('no headers and an empty header block are the same: none', () => {
  for (const headers of [undefined, new Map<string, string[]>()]) {
    assert.equal(toDelivery({ reply, data, headers }, read, source('a')).headers, undefined)
  }
})

test('a header block that cannot be read is a problem of the job, never a crash', () => {
  const message = {
    subject: 's',
    reply,
    data,
    // The client decodes the block when it is first looked at.
    get headers(): Iterable<[string, string[]]> {
      throw new Error('secret bytes')
    },
  }
  const delivery = toDelivery(message, read, source('a'))
  assert.deepEqual(
    [delivery.headers, delivery.headerProblem],
    [[], 'the header block is not a NATS header block'],
  )
})
