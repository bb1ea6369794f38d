import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Kvm } from '@nats-io/kv'
import { connect } from '@nats-io/transport-node'
import { namesFor } from '#src/core/names.js'
import { AttemptsBucket } from '#src/nats/attempts-bucket.js'
import { Incarnations } from '#src/nats/incarnations.js'
import { startTestServer } from '../support/nats-server.ts'

test('releases of several supervisors add up, and none overwrites what another wrote', async (t) => {
  const server = await startTestServer(t)
  const nc = await connect({ servers: server.url })
  t.after(() => nc.close())
  const names = namesFor('jobs')
  await new Kvm(nc).create(names.attemptsBucket)
  const incarnations = new Incarnations()
  incarnations.seen('JOBS', '2026-01-01T00:00:00Z')
  const buckets = [1, 2, 3].map(() => new AttemptsBucket(nc, names, incarnations))
  const [first] = buckets

  await Promise.all(buckets.map((bucket) => bucket.release('JOBS', 7)))
  assert.equal((await first!.read('JOBS', 7))?.released, 3)

  const history = [{ attempt: 1, outcome: 'failed' }]
  await first!.write('JOBS', 8, {
    released: 0,
    failures: 1,
    history,
    dead: { reason: 'permanent', attempts: 1 },
  })
  await buckets[1]!.release('JOBS', 8)
  assert.deepEqual(await first!.read('JOBS', 8), {
    released: 1,
    failures: 1,
    history,
    dead: { reason: 'permanent', attempts: 1 },
  })

  // Another stream's job at the same place has a record of its own.
  incarnations.seen('JOBS_HIGH', '2026-01-01T00:00:00Z')
  assert.equal(await first!.read('JOBS_HIGH', 8), undefined)
  await first!.write('JOBS_HIGH', 8, { released: 5, failures: 0, history: [] })
  assert.equal((await first!.read('JOBS', 8))?.released, 1)

  // A record of another incarnation of the stream is none.
  incarnations.seen('JOBS', '2026-02-02T00:00:00Z')
  assert.equal(await first!.read('JOBS', 8), undefined)
  await first!.release('JOBS', 8)
  assert.deepEqual(await first!.read('JOBS', 8), { released: 1, failures: 0, history: [] })
})

test('of all jobs of a replay exactly one stands for it, whoever asks and however often', async (t) => {
  const server = await startTestServer(t)
  const nc = await connect({ servers: server.url })
  t.after(() => nc.close())
  const names = namesFor('jobs')
  await new Kvm(nc).create(names.attemptsBucket)
  const incarnations = new Incarnations()
  incarnations.seen('JOBS', '2026-01-01T00:00:00Z')
  const [one, two] = [1, 2].map(() => new AttemptsBucket(nc, names, incarnations))
  const letter = { stream: 'JOBS_DEAD', sequence: 3, storedAt: 1700 }
  const job = (sequence: number) => ({ stream: 'JOBS', sequence, storedAt: 1000 + sequence })

  const claims = await Promise.all([
    one!.claimReplay(letter, job(1)),
    two!.claimReplay(letter, job(2)),
    two!.claimReplay(letter, job(3)),
  ])
  assert.equal(claims.filter(Boolean).length, 1)
  const first = claims.indexOf(true) + 1
  for (const bucket of [one!, two!]) {
    assert.deepEqual(
      await Promise.all([1, 2, 3].map((sequence) => bucket.claimReplay(letter, job(sequence)))),
      claims,
    )
  }
  // Another dead letter at the same place of a stream that was made anew.
  assert.equal(await one!.claimReplay({ ...letter, storedAt: 1800 }, job(4)), true)

  // The stream of the job that stood for it is gone, and the job with it.
  incarnations.seen('JOBS', '2026-02-02T00:00:00Z')
  assert.equal(await one!.claimReplay(letter, { ...job(first), storedAt: 5000 }), true)
  assert.equal(await two!.claimReplay(letter, job(9)), false)
})
