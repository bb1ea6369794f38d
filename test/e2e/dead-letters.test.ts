import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DeadLetter } from '../support/jetstream-view.ts'
import { World } from '../support/world.ts'

const rfc3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/

/** Names of the attempt fields are not contract; that the outcome is in there is. */
function outcomes(letter: DeadLetter): string[] {
  const known = ['completed', 'failed', 'timed_out', 'crashed', 'interrupted', 'snoozed', 'cancelled']
  return letter.history.map(
    (entry) => Object.values(entry).find((value) => known.includes(String(value))) as string,
  )
}

test('a dead letter', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_MAX_ATTEMPTS: '2' } })
  const supervisor = await world.supervise()
  const { broker, ledger } = world

  await t.test('G9: tells everything about its job and keeps its bytes and headers', async () => {
    const body = '  {"do" : ["throw", "exit"],\t"exitCode": 3, "ü": "✓" }\n'
    const headers = {
      'X-Tenant': 'blue',
      'x-many': ['one', 'two'],
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      tracestate: 'vendor=1',
      'Nats-Expected-Stream': 'JOBS',
    }
    const before = Date.now()
    const id = await broker.enqueue('act', body, { id: 'order-18', headers })
    const { sequence } = { sequence: (await broker.jsm.streams.info('JOBS')).state.last_seq }
    const letter = await broker.deadLetter(id)

    assert.equal(letter.subject, 'dead.jobs.act')
    assert.equal(Buffer.from(letter.body).toString(), body)
    const got = letter.headers
    assert.equal(got['Millrace-Dead-Reason'], 'crashed')
    assert.equal(got['Millrace-Job-Id'], 'order-18')
    assert.equal(got['Millrace-Subject'], 'jobs.act')
    assert.equal(got['Millrace-Stream'], 'JOBS')
    assert.equal(got['Millrace-Sequence'], String(sequence))
    assert.equal(got['Millrace-Attempts'], '2')
    assert.equal(got['Millrace-Deliveries'], '2')
    assert.equal(got['Millrace-Error-Code'], 'thread_exit')
    assert.ok(got['Millrace-Error-Message'])
    assert.equal(got['Millrace-Replays'], undefined)
    for (const name of ['Millrace-Enqueued-At', 'Millrace-Dead-At']) {
      assert.match(got[name] ?? '', rfc3339)
      const at = Date.parse(got[name]!)
      assert.ok(at > before - 5_000 && at < Date.now() + 5_000, `${name} ${got[name]}`)
    }
    assert.deepEqual(outcomes(letter), ['failed', 'crashed'])
    assert.equal(got['X-Tenant'], 'blue')
    assert.equal(got['x-many'], 'one|two')
    assert.equal(got['traceparent'], headers.traceparent)
    assert.equal(got['tracestate'], 'vendor=1')
    const nats = Object.keys(got).filter((name) => name.startsWith('Nats-'))
    assert.deepEqual(nats, ['Nats-Msg-Id'])
    assert.equal(got['Nats-Msg-Id'], `dead:JOBS:${sequence}`)
    await broker.drained()
  })

  await t.test('holds a message of at most 1 KiB without control characters', async () => {
    const message = `first\r\nsecond\u0000\u0007\t\u001b[31m${'é'.repeat(3000)}`
    const id = await broker.enqueue('act', { do: 'throw', message })
    const letter = await broker.deadLetter(id)
    const told = letter.headers['Millrace-Error-Message']!
    assert.ok(Buffer.byteLength(told) <= 1024, `${Buffer.byteLength(told)} bytes`)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that none is there is the point.
    assert.doesNotMatch(told, /[\u0000-\u001f\u007f]/)
    assert.match(told, /first.*second/)
    assert.doesNotMatch(told, /\ufffd/)
  })

  await t.test('holds a history of at most 8 KiB, the oldest attempts dropped first', async () => {
    const headers = { 'Millrace-Max-Attempts': '40' }
    const id = await broker.enqueue('act', { do: 'throw', message: 'm'.repeat(900) }, { headers })
    const letter = await broker.deadLetter(id, 60_000)
    assert.equal(letter.headers['Millrace-Attempts'], '40')
    const history = letter.headers['Millrace-History']!
    assert.ok(Buffer.byteLength(history) <= 8192, `${Buffer.byteLength(history)} bytes`)
    assert.ok(letter.history.length >= 2)
    const numbers = letter.history.map((entry) => entry['attempt'])
    assert.equal(numbers.at(-1), 40)
    assert.deepEqual(
      numbers,
      Array.from({ length: numbers.length }, (_, n) => 41 - numbers.length + n),
    )
  })

  await t.test('has room even for the largest job with a long error', async () => {
    const { config } = await broker.jsm.streams.info('JOBS')
    const body = JSON.stringify({ do: 'throw', message: '✓'.repeat(2000), pad: '' })
    const pad = 'p'.repeat(config.max_msg_size! - body.length - 4200)
    const id = await broker.enqueue('act', { do: 'throw', message: '✓'.repeat(2000), pad })
    const letter = await broker.deadLetter(id)
    assert.equal(letter.reason, 'exhausted')
    assert.ok(letter.body.length > 1_000_000)
  })

  await t.test('is stored although the headers of its job fill all that a stream takes', async () => {
    const headers = { 'X-Huge': 'h'.repeat(65_000), 'X-Small': 'kept', 'X-Tenant': ['blue', 'green'] }
    const id = await broker.enqueue('act', { do: 'permanent' }, { id: 'huge-headers', headers })
    const letter = await broker.deadLetter(id)
    assert.equal(letter.reason, 'permanent')
    assert.equal(letter.headers['Millrace-Headers-Dropped'], '1')
    assert.equal(letter.headers['X-Small'], 'kept')
    assert.equal(letter.headers['X-Tenant'], 'blue|green')
    assert.equal(letter.headers['X-Huge'], undefined)
  })

  await t.test('of a job with an id of more than 2 KiB is named by its place', async () => {
    await broker.enqueue('act', { do: 'return' }, { id: 'é'.repeat(1_025) })
    const { sequence } = { sequence: (await broker.jsm.streams.info('JOBS')).state.last_seq }
    const letter = await broker.deadLetter(`JOBS:${sequence}`)
    assert.equal(letter.reason, 'invalid')
    assert.match(letter.headers['Millrace-Error-Message']!, /^Nats-Msg-Id must be text of at most 2048 bytes/)
  })

  await t.test('is written for an id with odd characters', async () => {
    const id = await broker.enqueue('act', { do: 'permanent' }, { id: 'ä/b c:*.> "é"' })
    assert.equal((await broker.deadLetter(id)).reason, 'permanent')
  })

  await t.test('G9: there is one for each of them and the job stream is empty', async () => {
    await broker.drained()
    const letters = await broker.deadLetters()
    assert.equal(new Set(letters.map((letter) => letter.jobId)).size, letters.length)
    const counted = await supervisor.metrics()
    assert.equal(counted.sum('millrace_dead_letters_total'), letters.length)
    await supervisor.metric('millrace_dead_letters', { handler: 'act' }, letters.length)
    assert.ok(
      letters.every((letter) => letter.reason === 'invalid' || ledger.starts(letter.jobId).length > 0),
    )
  })
})

test('headers of a job that forbid to run it', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_DEADLINE_LIMIT_MS: '60000' } })
  await world.supervise()
  const { broker, ledger } = world

  for (const [name, value] of [
    ['Millrace-Max-Attempts', 'three'],
    ['Millrace-Max-Attempts', '-1'],
    ['Millrace-Max-Attempts', '1.5'],
    ['Millrace-Deadline-Ms', 'soon'],
    ['Millrace-Deadline-Ms', '5s'],
    ['Millrace-Expires-At', 'tomorrow'],
    ['Millrace-Expires-At', '1700000000'],
    ['Millrace-Run-At', 'later'],
    ['Millrace-Run-At', '2026-02-30T00:00:00Z'],
  ] as const) {
    await t.test(`${name}: ${value} is invalid`, async () => {
      const body = '{"do":"return"}'
      const id = await broker.enqueue('act', body, { headers: { [name]: value, 'X-Kept': 'yes' } })
      const letter = await broker.deadLetter(id)
      assert.equal(letter.reason, 'invalid')
      assert.equal(letter.headers['Millrace-Error-Code'], 'invalid_header')
      assert.ok(
        letter.headers['Millrace-Error-Message']?.includes(name),
        letter.headers['Millrace-Error-Message'],
      )
      assert.equal(letter.headers['Millrace-Attempts'], '0')
      assert.equal(letter.headers['Millrace-History'], '[]')
      assert.equal(letter.headers['X-Kept'], 'yes')
      assert.equal(Buffer.from(letter.body).toString(), body)
      assert.equal(ledger.of(id).length, 0)
    })
  }

  for (const value of ['2020-01-01T00:00:00Z', '2020-01-01T00:00:00.123+02:00']) {
    await t.test(`Millrace-Expires-At: ${value} has expired`, async () => {
      const id = await broker.enqueue('act', { do: 'return' }, { headers: { 'Millrace-Expires-At': value } })
      const letter = await broker.deadLetter(id)
      assert.equal(letter.reason, 'expired')
      assert.equal(letter.headers['Millrace-Attempts'], '0')
      assert.equal(letter.headers['Millrace-History'], '[]')
      assert.equal(ledger.of(id).length, 0)
    })
  }

  await t.test('an expiry to come lets the job run', async () => {
    const headers = { 'Millrace-Expires-At': new Date(Date.now() + 3_600_000).toISOString() }
    const id = await broker.enqueue('act', { do: 'return' }, { headers })
    await broker.drained()
    assert.equal(ledger.ends(id).length, 1)
  })

  await t.test('Millrace-Deadline-Ms overrides the setting and is clamped at the limit', async () => {
    const short = await broker.enqueue('act', { do: 'see' }, { headers: { 'Millrace-Deadline-Ms': '5000' } })
    const long = await broker.enqueue(
      'act',
      { do: 'see' },
      { headers: { 'Millrace-Deadline-Ms': '86400000' } },
    )
    await broker.drained()
    const left = (id: string) => Number(ledger.of(id, 'seen')[0]!['msLeft'])
    assert.ok(left(short) <= 5_000, `${left(short)} ms left`)
    assert.ok(left(long) <= 60_000 && left(long) > 30_000, `${left(long)} ms left`)
  })
})
