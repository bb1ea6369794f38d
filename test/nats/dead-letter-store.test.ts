import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect, headers } from '@nats-io/transport-node'
import { namesFor } from '#src/core/names.js'
import { DeadLetterStore } from '#src/nats/dead-letter-store.js'
import { eventually } from '../support/eventually.ts'
import { startTestServer } from '../support/nats-server.ts'

const patienceMs = 30_000
const everything = { handler: undefined, payloads: false, pageSize: 50 }

async function createWorld(t: TestContext) {
  const server = await startTestServer(t)
  const nc = await connect({ servers: server.url, maxReconnectAttempts: -1, reconnectTimeWait: 50 })
  t.after(() => nc.close())
  const jsm = await jetstreamManager(nc, { checkAPI: false, timeout: 2_000 })
  const config = { name: 'JOBS_DEAD', subjects: ['dead.jobs.>'] }
  await jsm.streams.add(config)
  const js = jetstream(nc)
  const store = new DeadLetterStore(nc, jsm, namesFor('jobs'))
  /** Stores so many, on two handlers in turn. */
  const fill = async (count: number): Promise<void> => {
    for (let n = 0; n < count; n += 1) {
      const own = headers()
      own.append('X-Many', 'one')
      own.append('X-Many', String(n))
      await js.publish(`dead.jobs.${n % 2 === 0 ? 'even' : 'odd.one'}`, `body ${n}`, { headers: own })
    }
  }
  const remove = async (...sequences: number[]): Promise<void> => {
    for (const sequence of sequences) await jsm.streams.deleteMessage('JOBS_DEAD', sequence)
  }
  return { server, jsm, config, store, fill, remove }
}

function range(from: number, upTo: number): number[] {
  return Array.from({ length: upTo - from + 1 }, (_, n) => from + n)
}

test('what is there is read in order and once, whatever was deleted, and what comes later is not', async (t) => {
  const { store, fill, remove } = await createWorld(t)
  assert.deepEqual(await sequencesOf(store.pages(everything, patienceMs)), [])
  await fill(300)
  await remove(...range(3, 180), 200, ...range(290, 300))
  const left = [1, 2, ...range(181, 199), ...range(201, 289)]
  const found: number[] = []
  for await (const page of store.pages(everything, patienceMs)) {
    assert.ok(page.length <= 50)
    if (found.length === 0) await fill(1)
    found.push(...page.map(({ sequence }) => sequence))
  }
  assert.deepEqual(found, left)
  const odd = { ...everything, handler: 'odd.one' }
  assert.deepEqual(
    await sequencesOf(store.pages(odd, patienceMs)),
    left.filter((sequence) => sequence % 2 === 0),
  )
  const [[first] = []] = await allOf(store.pages(everything, patienceMs))
  assert.deepEqual(
    [first?.subject, first?.headers, first?.data.length],
    [
      'dead.jobs.even',
      [
        ['X-Many', 'one'],
        ['X-Many', '0'],
      ],
      0,
    ],
  )
  const [[whole] = []] = await allOf(store.pages({ ...everything, payloads: true }, patienceMs))
  const asked = await store.get(1, patienceMs)
  for (const { data } of [whole!, asked!]) assert.equal(Buffer.from(data).toString(), 'body 0')
  assert.deepEqual({ ...whole, data: '' }, { ...asked, data: '' })
  assert.equal(await store.get(3, patienceMs), undefined)
})

test('reading goes on when its consumer, the connection or what was wanted last is gone', async (t) => {
  const { server, jsm, store, fill, remove } = await createWorld(t)
  await fill(220)
  const found: number[] = []
  let pages = 0
  for await (const page of store.pages(everything, patienceMs)) {
    found.push(...page.map(({ sequence }) => sequence))
    pages += 1
    if (pages === 1) {
      for await (const { name } of jsm.consumers.list('JOBS_DEAD'))
        await jsm.consumers.delete('JOBS_DEAD', name)
    }
    if (pages === 2) {
      server.kill('SIGKILL')
      await server.ended()
      await server.restart()
    }
    if (pages === 3) await remove(...range(210, 220))
  }
  assert.deepEqual(found, range(1, 209))
})

test('a dead letter is deleted once, and never one of a stream that was made anew', async (t) => {
  const { server, jsm, config, store, fill } = await createWorld(t)
  await fill(3)
  await allOf(store.pages(everything, patienceMs))
  assert.equal(await store.remove(2, patienceMs), true)
  assert.equal(await store.remove(2, patienceMs), false)
  assert.equal(await store.remove(99, patienceMs), false)
  await server.restart()
  assert.equal(await store.remove(3, patienceMs), true)
  await jsm.streams.delete('JOBS_DEAD')
  await jsm.streams.add(config)
  await server.restart()
  await eventually('the client is connected again', () => jsm.streams.info('JOBS_DEAD'))
  await fill(3)
  await assert.rejects(store.remove(1, patienceMs), { code: 'topology_conflict' })
  assert.equal((await jsm.streams.info('JOBS_DEAD')).state.messages, 3)
})

async function allOf<T>(pages: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const page of pages) all.push(page)
  return all
}

async function sequencesOf(pages: AsyncIterable<{ sequence: number }[]>): Promise<number[]> {
  return (await allOf(pages)).flat().map(({ sequence }) => sequence)
}
