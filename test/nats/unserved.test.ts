import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errors, headers, type Msg, type NatsConnection } from '@nats-io/transport-node'
import { whoServes } from '#src/nats/unserved.js'

const pull = '$JS.API.CONSUMER.MSG.NEXT.JOBS.send'
const names = '$JS.API.CONSUMER.NAMES.JOBS'

type Answer = { status: number } | { json: object } | undefined

/** A broker that answers like this; undefined is no answer. */
function broker(answers: { leader?: Answer; names: (offset: number) => Answer }) {
  const asked: string[] = []
  const request = async (subject: string, payload: string): Promise<Msg> => {
    asked.push(subject)
    if (subject === pull) assert.throws(() => JSON.parse(payload), 'a leader would hand out a job')
    const answer = subject === pull ? answers.leader : answers.names(JSON.parse(payload).offset)
    if (answer === undefined) throw new errors.TimeoutError()
    if ('json' in answer) return { json: () => answer.json } as unknown as Msg
    return { headers: headers(answer.status, 'Some Reason') } as unknown as Msg
  }
  return { nc: { request } as unknown as NatsConnection, asked }
}

const page = (total: number, ...consumers: string[]): Answer => ({ json: { total, consumers } })

test('a leader that refuses a pull serves the consumer, whatever a server says', async () => {
  const { nc, asked } = broker({ leader: { status: 400 }, names: () => page(0) })
  assert.equal(await whoServes(nc, 'JOBS', 'send'), 'served')
  assert.deepEqual(asked, [pull])
})

test('a consumer whose name the cluster does not list is forgotten', async () => {
  const lists: ((offset: number) => Answer)[] = [
    () => page(0),
    () => ({ json: { total: 0, consumers: null } }),
    (offset) => (offset === 0 ? page(2, 'other') : page(2, 'sender')),
    (offset) => (offset === 0 ? page(2, 'other') : page(2)),
  ]
  for (const [index, list] of lists.entries()) {
    const { nc } = broker({ names: list })
    assert.equal(await whoServes(nc, 'JOBS', 'send'), 'forgotten', `list ${index}`)
  }
})

test('a consumer is unserved when the cluster lists its name, or does not say', async () => {
  const lists: ((offset: number) => Answer)[] = [
    () => page(1, 'send'),
    (offset) => (offset === 0 ? page(2, 'other') : page(2, 'send')),
    () => ({ json: { error: { code: 503, err_code: 10008 } } }),
    () => undefined,
  ]
  for (const [index, list] of lists.entries()) {
    const { nc, asked } = broker({ leader: { status: 503 }, names: list })
    assert.equal(await whoServes(nc, 'JOBS', 'send'), 'unserved', `list ${index}`)
    assert.ok(asked.includes(names))
  }
})
