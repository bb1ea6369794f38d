import assert from 'node:assert/strict'
import { test } from 'node:test'
import { World } from '../support/world.ts'

test('a payload reaches its handler as what it is', async (t) => {
  const world = await World.create(t)
  await world.supervise()
  const { broker, ledger } = world

  const arrives = async (body: string | Uint8Array, headers: Record<string, string> = {}) => {
    const id = await broker.enqueue('bytes', body, { headers })
    await broker.drained()
    assert.deepEqual(await broker.deadLetters(), [])
    const [seen] = ledger.of(id, 'seen')
    return seen!
  }

  const bytes = Uint8Array.from({ length: 256 }, (_, n) => n)
  const hex = Buffer.from(bytes).toString('hex')

  await t.test('a binary content type gives the bytes, every one of them', async () => {
    const seen = await arrives(bytes, { 'content-type': 'application/octet-stream' })
    assert.equal(seen['type'], 'Uint8Array')
    assert.equal(seen['hex'], hex)
  })

  await t.test('the content type is found however its header is spelt', async () => {
    const seen = await arrives(bytes, { 'Content-Type': 'application/octet-stream' })
    assert.equal(seen['type'], 'Uint8Array')
  })

  await t.test('text that is not called JSON is bytes too', async () => {
    const seen = await arrives('{"looks":"like JSON"}', { 'content-type': 'text/plain' })
    assert.equal(seen['type'], 'Uint8Array')
  })

  await t.test('JSON is JSON with and without a content type and with its parameters', async () => {
    for (const headers of [
      {},
      { 'content-type': 'application/json' },
      { 'content-type': 'application/json; charset=utf-8' },
    ]) {
      const seen = await arrives('{"a":[1,null,"ü"]}', headers)
      assert.deepEqual(seen['json'], { a: [1, null, 'ü'] })
    }
  })

  await t.test('JSON may be a bare value', async () => {
    assert.equal((await arrives('"text"'))['json'], 'text')
    assert.equal((await arrives('0'))['json'], 0)
    assert.equal((await arrives('null'))['json'], null)
  })

  await t.test('an empty body is undefined', async () => {
    assert.equal((await arrives(''))['type'], 'undefined')
  })

  await t.test('a payload of nearly the largest size passes', async () => {
    const text = 'x'.repeat(900_000)
    const id = await broker.enqueue('act', { do: 'return', text })
    await broker.drained()
    assert.equal(ledger.ends(id).length, 1)
  })
})

test('a payload that cannot be read is a dead letter and never a crash', async (t) => {
  const world = await World.create(t)
  const supervisor = await world.supervise()
  const { broker, ledger } = world

  const refused = async (handler: string, body: string | Uint8Array, code: string) => {
    const id = await broker.enqueue(handler, body)
    const letter = await broker.deadLetter(id)
    assert.equal(letter.reason, 'invalid')
    assert.equal(letter.headers['Millrace-Error-Code'], code)
    assert.equal(letter.headers['Millrace-Attempts'], '0')
    assert.equal(letter.headers['Millrace-History'], '[]')
    assert.deepEqual(Buffer.from(letter.body), Buffer.from(body))
    assert.equal(ledger.of(id).length, 0)
  }

  await t.test('bad JSON', async () => {
    await refused('act', '{"to":', 'invalid_json')
    await refused('act', '{"a":1} trailing', 'invalid_json')
    await refused('io', 'not JSON at all', 'invalid_json')
  })

  await t.test('bad UTF-8', async () => {
    await refused('act', Uint8Array.of(0x22, 0xc3, 0x28, 0x22), 'invalid_utf8')
  })

  await t.test('a payload that does not match the schema; one that does arrives as its output', async () => {
    await refused('checked', '{"to":7}', 'invalid_payload')
    await refused('checked', '{"to":"a@b.c","extra":true}', 'invalid_payload')
    const id = await broker.enqueue('checked', { to: 'A@B.C' })
    await broker.drained()
    assert.deepEqual(ledger.of(id, 'seen')[0]!['payload'], { to: 'a@b.c', checked: true })
  })

  await t.test('nesting of depth 100,000 is no reason to fail', async () => {
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
    const id = await broker.enqueue('act', `{"do":"return","deep":${deep}}`)
    const back = await broker.enqueue('act', `{"do":"return-payload","deep":${deep}}`)
    await broker.drained()
    assert.equal(ledger.ends(id).length, 1)
    assert.equal(ledger.ends(back).length, 1)
  })

  await t.test('a __proto__ key stays a key of the payload and pollutes nothing', async () => {
    const id = await broker.enqueue('act', '{"do":"prototype","__proto__":{"polluted":"yes"}}')
    const next = await broker.enqueue('act', '{"do":"prototype","constructor":{"prototype":{"polluted":1}}}')
    await broker.drained()
    const [seen] = ledger.of(id, 'seen')
    assert.equal(seen!['own'], true)
    assert.deepEqual(seen!['value'], { polluted: 'yes' })
    assert.equal(seen!['polluted'], null)
    assert.equal(ledger.of(next, 'seen')[0]!['polluted'], null)
  })

  await t.test('nothing of this cost a thread', async () => {
    assert.equal((await supervisor.metrics()).sum('millrace_thread_restarts_total'), 0)
  })
})
