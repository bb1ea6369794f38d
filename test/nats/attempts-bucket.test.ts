import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { jetstreamManager, type StreamUpdateConfig } from '@nats-io/jetstream'
import { Kvm } from '@nats-io/kv'
import { type ConnectionOptions, connect } from '@nats-io/transport-node'
import type { LocalBrokerOptions } from '#src/broker/local-broker.js'
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

  await Promise.all(buckets.map((bucket) => bucket.release('JOBS', 7, 1)))
  assert.equal((await first!.read('JOBS', 7))?.released, 3)
  await first!.release('JOBS', 7, 2)
  assert.equal((await first!.read('JOBS', 7))?.released, 5)

  const history = [{ attempt: 1, outcome: 'failed' }]
  await first!.write('JOBS', 8, {
    released: 0,
    failures: 1,
    history,
    dead: { reason: 'permanent', attempts: 1 },
  })
  await buckets[1]!.release('JOBS', 8, 1)
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
  await first!.release('JOBS', 8, 1)
  assert.deepEqual(await first!.read('JOBS', 8), { released: 1, failures: 0, history: [] })
})

/** What is asked of the server to remove records, and the bucket's keys. */
async function watchRemovals(t: TestContext, options: LocalBrokerOptions = {}, user: ConnectionOptions = {}) {
  const server = await startTestServer(t, options)
  const nc = await connect({ servers: server.url, ...user })
  const admin = options.config ? await connect({ servers: server.url, user: 'admin', pass: 'p' }) : nc
  t.after(() => Promise.all([nc.close(), admin.close()]))
  const names = namesFor('jobs')
  const kv = await new Kvm(admin).create(names.attemptsBucket)
  const jsm = await jetstreamManager(admin)
  const asked: string[] = []
  const callback = (_: unknown, { subject }: { subject: string }) => void asked.push(subject.split('.')[3]!)
  admin.subscribe('$JS.API.STREAM.PURGE.KV_jobs_attempts', { callback })
  admin.subscribe('$JS.API.STREAM.MSG.DELETE.KV_jobs_attempts', { callback })
  const incarnations = new Incarnations()
  incarnations.seen('JOBS', '2026-01-01T00:00:00Z')
  const keys = async () => {
    await nc.flush()
    await admin.flush()
    const found: string[] = []
    for await (const key of await kv.keys()) found.push(key)
    return { keys: found.sort(), asked: asked.splice(0) }
  }
  const make = async () => {
    const bucket = new AttemptsBucket(nc, names, incarnations)
    await bucket.look()
    await admin.flush()
    asked.length = 0
    return bucket
  }
  return { jsm, make, keys }
}

const placesOf = (...sequences: number[]) => sequences.map((sequence) => ({ stream: 'JOBS', sequence }))
const failed = { released: 0, failures: 1, history: [] }
const released = { released: 1, failures: 0, history: [] }

test('a record is removed by its place, however it is known, and one that somebody else wrote since stays', async (t) => {
  const { make, keys } = await watchRemovals(t)
  const [one, two] = [await make(), await make()]
  await one.write('JOBS', 1, failed)
  await two.write('JOBS', 2, failed)
  await one.read('JOBS', 2)
  await one.release('JOBS', 3, 1)
  await one.write('JOBS', 4, failed)
  await two.write('JOBS', 4, released)
  await one.forget(placesOf(1, 2, 3, 4))
  assert.deepEqual(await keys(), { keys: ['JOBS.4'], asked: ['MSG', 'MSG', 'MSG', 'MSG'] })
  assert.equal((await one.read('JOBS', 4))?.released, 1)
  assert.equal(await one.read('JOBS', 1), undefined)
})

test('a record whose place is not known is removed by its key', async (t) => {
  const { make, keys } = await watchRemovals(t)
  const [one, two] = [await make(), await make()]
  await one.write('JOBS', 1, failed)
  await two.write('JOBS', 2, failed)
  await two.forget(placesOf(1))
  two.reset()
  await two.write('JOBS', 3, failed)
  await two.forget(placesOf(2, 3))
  assert.deepEqual(await keys(), { keys: [], asked: ['PURGE', 'PURGE', 'PURGE'] })
  await two.look()
  await two.write('JOBS', 4, failed)
  await two.forget(placesOf(4))
  assert.deepEqual(await keys(), { keys: [], asked: ['MSG'] })
})

test('G4: no record of a bucket that was made anew goes for one that had its place', async (t) => {
  const { jsm, make, keys } = await watchRemovals(t)
  const [one, two] = [await make(), await make()]
  for (const sequence of [1, 2]) await one.write('JOBS', sequence, failed)
  const { config } = await jsm.streams.info('KV_jobs_attempts')
  await jsm.streams.delete('KV_jobs_attempts')
  await jsm.streams.add(config)
  await two.look()
  for (const sequence of [77, 78, 79]) await two.write('JOBS', sequence, released)
  await one.forget(placesOf(1, 2))
  assert.deepEqual((await keys()).keys, ['JOBS.77', 'JOBS.78', 'JOBS.79'])
})

test('the place of a record is its newest, in whatever order answers come', async (t) => {
  const { make, keys } = await watchRemovals(t)
  const bucket = await make()
  await bucket.write('JOBS', 1, failed)
  for (let times = 0; times < 200; times += 1) {
    await Promise.all([bucket.read('JOBS', 1), bucket.write('JOBS', 1, failed), bucket.read('JOBS', 1)])
  }
  await bucket.forget(placesOf(1))
  assert.deepEqual(await keys(), { keys: [], asked: ['MSG'] })
})

test('records are removed by their keys where single messages may not be deleted', async (t) => {
  const sealed = await watchRemovals(t)
  const { config } = await sealed.jsm.streams.info('KV_jobs_attempts')
  await sealed.jsm.streams.update('KV_jobs_attempts', {
    ...config,
    deny_delete: true,
  } as Partial<StreamUpdateConfig>)
  const deny = ['$JS.API.STREAM.MSG.DELETE.KV_jobs_attempts']
  const users = [
    { user: 'admin', password: 'p' },
    { user: 'narrow', password: 'p', permissions: { publish: { deny } } },
  ]
  const authorization = `authorization ${JSON.stringify({ users })}\n`
  const narrow = await watchRemovals(t, { config: authorization }, { user: 'narrow', pass: 'p' })
  for (const { make, keys } of [sealed, narrow]) {
    const bucket = await make()
    for (const sequence of [1, 2, 3]) await bucket.write('JOBS', sequence, failed)
    for (const sequence of [1, 2, 3]) await bucket.forget(placesOf(sequence))
    const { keys: left, asked } = await keys()
    assert.deepEqual(left, [])
    const count = (wanted: string) => asked.filter((what) => what === wanted).length
    assert.equal(count('PURGE'), 3)
    assert.ok(count('MSG') <= 1, 'a delete is tried once')
  }
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
