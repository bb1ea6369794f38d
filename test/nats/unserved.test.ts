import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errors, headers, type Msg, type NatsConnection } from '@nats-io/transport-node'
import { consumerNames, hasLeader } from '#src/nats/unserved.js'

/** A broker that is asked something; undefined is no answer. */
const broker = (answer: (subject: string, payload: string) => Partial<Msg> | undefined): NatsConnection => {
  const request = async (subject: string, payload: string) => {
    const message = answer(subject, payload)
    if (message === undefined) throw new errors.TimeoutError()
    return message
  }
  return { request } as unknown as NatsConnection
}

test('who refuses a pull that gets no job leads the consumer', async () => {
  const led = async (status: number | undefined): Promise<boolean> => {
    const nc = broker((subject, payload) => {
      assert.equal(subject, '$JS.API.CONSUMER.MSG.NEXT.JOBS.send')
      assert.equal(payload[0], '{', 'text would be a pull of one job')
      assert.throws(() => JSON.parse(payload))
      return status === undefined ? undefined : { headers: headers(status, 'Some Reason') }
    })
    return hasLeader(nc, 'JOBS', 'send')
  }
  assert.equal(await led(400), true)
  assert.equal(await led(undefined), false)
  assert.equal(await led(503), false)
})

type Page = { total?: number; consumers?: string[] | null; error?: object } | undefined

async function names(page: (offset: number) => Page): Promise<string[] | undefined> {
  const nc = broker((subject, payload) => {
    assert.equal(subject, '$JS.API.CONSUMER.NAMES.JOBS')
    const json = page((JSON.parse(payload) as { offset: number }).offset)
    return json && { json: <T>() => json as T }
  })
  const found = await consumerNames(nc, 'JOBS')
  return found && [...found]
}

test('the names of all pages are known', async () => {
  assert.deepEqual(await names(() => ({ total: 0, consumers: [] })), [])
  assert.deepEqual(await names(() => ({ total: 0, consumers: null })), [])
  const all = ['a', 'b', 'c']
  assert.deepEqual(await names((offset) => ({ total: 3, consumers: all.slice(offset, offset + 2) })), all)
  const removed = await names((offset) => ({ total: 3, consumers: offset === 0 ? ['a'] : [] }))
  assert.deepEqual(removed, ['a'])
})

test('no names are known when nobody can say all of them', async () => {
  assert.equal(await names(() => undefined), undefined)
  assert.equal(
    await names((offset) => (offset === 0 ? { total: 2, consumers: ['a'] } : undefined)),
    undefined,
  )
  assert.equal(await names(() => ({ error: { code: 503, err_code: 10008 } })), undefined)
})
