import assert from 'node:assert/strict'
import { test } from 'node:test'
import { jetstreamManager } from '@nats-io/jetstream'
import { Kvm } from '@nats-io/kv'
import { connect } from '@nats-io/transport-node'
import { KnownRecords } from '#src/nats/known-records.js'
import { startTestServer } from '../support/nats-server.ts'

test('the records of jobs that there were are known, and what was removed or is no record of a job is not', async (t) => {
  const server = await startTestServer(t)
  const nc = await connect({ servers: server.url })
  t.after(() => nc.close())
  const jsm = await jetstreamManager(nc)
  const known = new KnownRecords(jsm, 'jobs_attempts')
  assert.ok(known.mayHave('JOBS', 1), 'until the broker has said something')
  await known.look()
  assert.ok(!known.mayHave('JOBS', 1), 'there is no bucket')

  const bucket = await new Kvm(nc).create('jobs_attempts')
  for (const key of ['JOBS.1', 'JOBS.2', 'JOBS_HIGH.3', 'JOBS_DEAD.4.1700000000000']) {
    await bucket.put(key, '{}')
  }
  await jsm.streams.purge('KV_jobs_attempts', { filter: '$KV.jobs_attempts.JOBS.2' })
  const looking = known.look()
  assert.ok(known.mayHave('JOBS', 9), 'while it is being asked')
  await looking
  const places = [
    ['JOBS', 1],
    ['JOBS', 2],
    ['JOBS', 3],
    ['JOBS_HIGH', 3],
    ['JOBS_DEAD', 4],
  ] as const
  assert.deepEqual(
    places.map(([stream, sequence]) => known.mayHave(stream, sequence)),
    [true, false, false, true, false],
  )
})
