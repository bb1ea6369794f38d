import assert from 'node:assert/strict'
import { test } from 'node:test'
import { JetStreamApiError, type JetStreamManager } from '@nats-io/jetstream'
import { ConsumerPauses } from '#src/nats/consumer-pauses.js'
import { eventually } from '../support/eventually.ts'

const leaderless = new JetStreamApiError({ code: 503, err_code: 10008, description: 'no leader' })

test('a consumer that nobody serves keeps no other from being paused, and is told only if it should be', async (t) => {
  const asked: string[] = []
  const paused: string[] = []
  const failed: string[] = []
  const jsm = {
    getAccountInfo: async () => ({ api: { level: 1 } }),
    consumers: {
      info: async (_: string, name: string) => {
        asked.push(name)
        if (name.startsWith('unserved')) throw leaderless
        return { paused: false, config: {} }
      },
      pause: async (_: string, name: string) => paused.push(name),
    },
  } as unknown as JetStreamManager
  const pauses = new ConsumerPauses(jsm, ['JOBS'], true, (handler) => failed.push(handler))
  t.after(() => pauses.close())
  pauses.set('unserved.paused', true)
  pauses.set('unserved', false)
  pauses.set('served', true)
  await eventually('the served one is paused', () => paused.length > 0)
  await eventually('all were asked for', () => new Set(asked).size === 3)
  assert.deepEqual([paused[0], new Set(failed)], ['served', new Set(['unserved.paused'])])
})
