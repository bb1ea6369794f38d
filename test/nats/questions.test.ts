import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errors, type Msg, type NatsConnection, type SubscriptionOptions } from '@nats-io/transport-node'
import { namesFor } from '#src/core/names.js'
import { askSupervisors } from '#src/nats/questions.js'

const listening = { firstMs: 30, moreMs: 10 }

/** A connection on which a question gets to a server as a test says, with these answers. */
function connection(flush: () => Promise<void>, answers: readonly string[] = []): NatsConnection {
  let hear: SubscriptionOptions['callback']
  return {
    status: () => ({ async *[Symbol.asyncIterator]() {} }),
    subscribe: (_subject: string, options: SubscriptionOptions) => {
      hear = options.callback
      return { unsubscribe() {} }
    },
    publish() {
      for (const answer of answers)
        queueMicrotask(() =>
          hear!(null, { data: Buffer.from(answer), string: () => answer } as unknown as Msg),
        )
    },
    flush,
  } as unknown as NatsConnection
}

function ask(nc: NatsConnection): Promise<string[]> {
  return askSupervisors(nc, namesFor('jobs'), 'where', 'order-7', listening)
}

test('who hears nothing after the server has taken the question learns that nobody has an answer', async () => {
  assert.deepEqual(await ask(connection(() => Promise.resolve())), [])
  assert.deepEqual(await ask(connection(() => Promise.resolve(), ['one', 'two'])), ['one', 'two'])
})

test('a question that gets to no server is not answered by nobody', async () => {
  const never = () => new Promise<void>(() => {})
  await assert.rejects(ask(connection(never)), { code: 'broker_unreachable', message: /within 30 ms/ })
  const lost = new errors.ClosedConnectionError()
  await assert.rejects(ask(connection(() => Promise.reject(lost))), {
    code: 'broker_unreachable',
    cause: lost,
  })
})
