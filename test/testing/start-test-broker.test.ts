import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import { createClient } from '#src/client/index.js'
import { startTestBroker } from '#src/testing/index.js'
import { serverBinary } from '../support/nats-server.ts'

test('a broker of a test answers clients, and is gone with its store when its block ends', async () => {
  let storeDir = ''
  let isRunning = (): boolean => true
  {
    await using broker = await startTestBroker({ binary: serverBinary })
    storeDir = broker.storeDir
    isRunning = () => broker.isRunning()
    assert.equal(isRunning(), true)
    const client = await createClient({ servers: broker.url, environment: {} })
    // No supervisor has made the streams.
    await assert.rejects(client.enqueue('a', 1), { code: 'topology_missing' })
    await client.close()
    assert.equal(existsSync(storeDir), true)
  }
  assert.equal(isRunning(), false)
  assert.equal(existsSync(storeDir), false)
})
