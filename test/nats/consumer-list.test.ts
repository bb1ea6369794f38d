import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ConsumerInfo, JetStreamApiError } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { listConsumers } from '#src/nats/consumer-list.js'

type Answer = { consumers?: { name: string }[] | null; missing?: string[]; error?: object }

async function list(answer: (offset: number) => Answer) {
  const offsets: number[] = []
  const request = async (subject: string, payload: string) => {
    assert.equal(subject, '$JS.API.CONSUMER.LIST.JOBS')
    const { offset } = JSON.parse(payload) as { offset: number }
    offsets.push(offset)
    return { json: () => answer(offset) }
  }
  const { served, unserved } = await listConsumers({ request } as unknown as NatsConnection, 'JOBS')
  return { served: served.map(({ name }: ConsumerInfo) => name), unserved, offsets }
}

const names = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, n) => `c${String(from + n).padStart(4, '0')}`)

for (const total of [0, 1, 255, 256, 257, 700]) {
  test(`all of ${total} consumers are listed, with those that nobody serves`, async () => {
    const all = names(0, total)
    const isServed = (name: string) => Number(name.slice(1)) % 3 > 0
    const { served, unserved, offsets } = await list((offset) => {
      const page = all.slice(offset, offset + 256)
      return {
        consumers: page.filter(isServed).map((name) => ({ name })),
        missing: page.filter((name) => !isServed(name)),
      }
    })
    assert.deepEqual(served, all.filter(isServed))
    assert.deepEqual(
      unserved,
      all.filter((name) => !isServed(name)),
    )
    assert.equal(offsets.length, Math.floor(total / 256) + 1)
  })
}

test('one whose servers are away is unserved, however it is listed', async () => {
  const { served, unserved } = await list(() => ({
    consumers: [{ name: '' }, { name: 'gone' }, { name: 'here' }],
    missing: ['away', 'gone'],
  }))
  assert.deepEqual([served, unserved], [['here'], ['away', 'gone']])
  assert.deepEqual(await list(() => ({ consumers: null })), { served: [], unserved: [], offsets: [0] })
})

test('a refusal is the error that it is', async () => {
  const error = { code: 404, err_code: 10059, description: 'stream not found' }
  await assert.rejects(
    list(() => ({ error })),
    (thrown) => thrown instanceof JetStreamApiError && thrown.code === 10059,
  )
})
