import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JetStreamManager } from '@nats-io/jetstream'
import type { Msg, NatsConnection } from '@nats-io/transport-node'
import { BucketWatch } from '#src/nats/bucket-watch.js'
import { settled } from '#src/testing/manual-clock.js'

type Receive = (error: null, message: Msg) => void

/** A watch on a server whose every consumer says what `pending` says, and brings what a test sends. */
function createWatch(pending: () => number) {
  let receive: Receive
  let consumers = 0
  const nc = {
    isClosed: () => false,
    subscribe: (_: string, { callback }: { callback: Receive }) => {
      receive = callback
      return { unsubscribe: () => {} }
    },
  } as unknown as NatsConnection
  const jsm = {
    consumers: {
      add: async () => {
        consumers += 1
        return { num_pending: pending() }
      },
      delete: async () => true,
    },
  } as unknown as JetStreamManager
  const told: string[] = []
  const parts = { nc, jsm, inboxPrefix: '_INBOX', bucket: 'jobs_control', trouble: assert.fail }
  const watch = new BucketWatch(parts, 'paused.>', {
    changed: (key, value) => told.push(value === undefined ? `-${key}` : `+${key}`),
    listed: () => told.push('listed'),
  })
  return {
    watch,
    told: () => told.splice(0),
    consumers: () => consumers,
    entry: (key: string, sequence: number, delivered: number) => {
      const reply = `$JS.ACK.KV_jobs_control.c.1.${sequence}.${delivered}.1700000000000000000.0`
      receive(null, { subject: `$KV.jobs_control.${key}`, reply, string: () => '{}' } as unknown as Msg)
    },
    heartbeat: (delivered: number) => {
      const headers = { code: 100, get: () => String(delivered) }
      receive(null, { subject: '', headers } as unknown as Msg)
    },
  }
}

test('what a listing that stays short lacks is not told as removed, unless every next one lacks it, too', async (t) => {
  const { watch, told, consumers, entry, heartbeat } = createWatch(() => 2)
  t.after(() => watch.end())
  await settled()
  entry('paused.a', 1, 1)
  entry('paused.b', 2, 2)
  assert.deepEqual(told(), ['+paused.a', '+paused.b', 'listed'])
  watch.begin()
  for (const _ of [1, 2]) {
    await settled()
    entry('paused.a', 1, 1)
    heartbeat(1)
    assert.deepEqual(told(), [])
  }
  await settled()
  assert.equal(consumers(), 4)
  entry('paused.a', 1, 1)
  heartbeat(1)
  assert.deepEqual(told(), ['-paused.b', 'listed'])
  heartbeat(1)
  await settled()
  assert.equal(consumers(), 4, 'a listing that counts is not begun again')
})

test('an entry that comes twice does not make a listing whole', async (t) => {
  const { watch, told, entry } = createWatch(() => 2)
  t.after(() => watch.end())
  await settled()
  entry('paused.a', 1, 1)
  entry('paused.a', 1, 2)
  assert.deepEqual(told(), ['+paused.a'])
  entry('paused.b', 2, 3)
  assert.deepEqual(told(), ['+paused.b', 'listed'])
})

test('a watch that misses a message begins anew at the next one', async (t) => {
  const { watch, told, consumers, entry } = createWatch(() => 0)
  t.after(() => watch.end())
  await settled()
  assert.deepEqual(told(), ['listed'])
  entry('paused.a', 1, 1)
  entry('paused.c', 3, 3)
  await settled()
  assert.deepEqual(told(), ['+paused.a', '-paused.a', 'listed'], 'the new listing has nothing')
  assert.equal(consumers(), 2)
})
