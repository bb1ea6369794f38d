import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { JetStreamManager } from '@nats-io/jetstream'
import { nanos } from '@nats-io/transport-node'
import type { BrokerConnection } from '#src/nats/connection.js'
import { IsolationWatch } from '#src/nats/isolation-watch.js'

/** A watch of a stream whose replicas were heard from so long ago, after it has looked once. */
async function look(t: TestContext, heardMsAgo: number[] | 'no answer', cluster: string | null = 'c') {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const left: string[] = []
  let asked = 0
  let troubles = 0
  const connection = {
    connected: true,
    epoch: 1,
    nc: { info: cluster === null ? {} : { cluster } },
    moveOn: (why: string) => left.push(why),
  }
  const info = async () => {
    asked += 1
    if (heardMsAgo === 'no answer') throw new Error('timeout')
    return { cluster: { replicas: heardMsAgo.map((ms) => ({ active: nanos(ms) })) } }
  }
  const watch = new IsolationWatch(
    connection as unknown as BrokerConnection,
    { streams: { info } } as unknown as JetStreamManager,
    'JOBS',
    () => {
      troubles += 1
    },
  )
  watch.start()
  t.mock.timers.tick(2_000)
  await new Promise(setImmediate)
  watch.stop()
  return { left: left.length, asked, troubles }
}

test('a server that has heard from none of its cluster for three seconds is left', async (t) => {
  assert.deepEqual(await look(t, [3_500, 3_100]), { left: 1, asked: 1, troubles: 0 })
})

test('a server that hears from one of the others is not left', async (t) => {
  assert.deepEqual(await look(t, [60_000, 900]), { left: 0, asked: 1, troubles: 0 })
})

test('a stream with one replica says nothing about its cluster', async (t) => {
  assert.deepEqual(await look(t, []), { left: 0, asked: 1, troubles: 0 })
})

test('no answer is a sign of trouble', async (t) => {
  assert.deepEqual(await look(t, 'no answer'), { left: 0, asked: 1, troubles: 1 })
})

test('a single server is asked nothing', async (t) => {
  assert.deepEqual(await look(t, [60_000], null), { left: 0, asked: 0, troubles: 0 })
})
