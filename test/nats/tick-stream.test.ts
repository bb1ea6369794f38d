import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JetStreamClient, JetStreamManager } from '@nats-io/jetstream'
import { headers } from '@nats-io/transport-node'
import { namesFor } from '#src/core/names.js'
import { TickStream } from '#src/nats/tick-stream.js'

const storedAt = Date.UTC(2026, 0, 1)
const id = 'tick:report:2026-01-01T00:00:00.000Z'

/** Whether the job at sequence 7 is settled, with that message in the stream and a consumer in this state. */
function isSettled(
  storedId: string | undefined,
  consumer: { floor: number; delivered: number; ackPending: number },
  finishedHere = false,
): Promise<boolean> {
  const header = headers()
  if (storedId !== undefined) header.set('Nats-Msg-Id', storedId)
  const jsm = {
    streams: {
      getMessage: async () => (storedId === undefined ? null : { header, time: new Date(storedAt) }),
    },
    consumers: {
      info: async () => ({
        ack_floor: { stream_seq: consumer.floor },
        delivered: { stream_seq: consumer.delivered },
        num_ack_pending: consumer.ackPending,
      }),
    },
  } as unknown as JetStreamManager
  const hasFinished = (...job: unknown[]): boolean => finishedHere && job.join() === `JOBS,7,${storedAt}`
  const hooks = { isConnected: () => true, failed: () => {}, hasFinished }
  return new TickStream({} as JetStreamClient, jsm, namesFor('jobs'), hooks).isSettled('report', id, 7)
}

test('a job that is gone from the stream is settled, one that waits or runs is not', async () => {
  assert.equal(await isSettled(undefined, { floor: 0, delivered: 0, ackPending: 0 }), true)
  assert.equal(await isSettled('another', { floor: 0, delivered: 0, ackPending: 0 }), true)
  assert.equal(await isSettled(id, { floor: 5, delivered: 6, ackPending: 0 }), false)
  assert.equal(await isSettled(id, { floor: 6, delivered: 7, ackPending: 1 }), false)
})

test('a job that a killed server kept although it was acked is settled', async () => {
  assert.equal(await isSettled(id, { floor: 7, delivered: 7, ackPending: 0 }), true)
  // As 2.9.10 comes back with it: a schedule with overlap 'skip' would never tick again.
  assert.equal(await isSettled(id, { floor: 3, delivered: 8, ackPending: 0 }), true)
  // With one more that is gone and stays pending for ever.
  assert.equal(await isSettled(id, { floor: 3, delivered: 8, ackPending: 1 }, true), true)
})
