import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errors, headers, type Msg, type NatsConnection } from '@nats-io/transport-node'
import { hasLeader, isForgotten } from '#src/nats/unserved.js'

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

async function forgotten(page: (offset: number) => Page): Promise<boolean> {
  const nc = broker((subject, payload) => {
    assert.equal(subject, '$JS.API.CONSUMER.NAMES.JOBS')
    const json = page((JSON.parse(payload) as { offset: number }).offset)
    return json && { json: <T>() => json as T }
  })
  return isForgotten(nc, 'JOBS', 'send')
}

test('a consumer is forgotten when no page of names has its own', async () => {
  assert.equal(await forgotten(() => ({ total: 0, consumers: [] })), true)
  assert.equal(await forgotten(() => ({ total: 0, consumers: null })), true)
  const second = (name: string) => (offset: number) => ({
    total: 2,
    consumers: [offset === 0 ? 'other' : name],
  })
  assert.equal(await forgotten(second('sender')), true)
  assert.equal(await forgotten(second('send')), false)
  assert.equal(await forgotten((offset) => ({ total: 2, consumers: offset === 0 ? ['other'] : [] })), true)
})

test('a consumer is not called forgotten when nobody can say', async () => {
  assert.equal(await forgotten(() => undefined), false)
  assert.equal(await forgotten(() => ({ error: { code: 503, err_code: 10008 } })), false)
})
