import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream'
import { type KV, Kvm } from '@nats-io/kv'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { ControlBucket } from '#src/nats/control-bucket.js'
import { eventually } from '../support/eventually.ts'
import { startTestServer } from '../support/nats-server.ts'

const bucketName = 'jobs_control'
const stream = `KV_${bucketName}`

async function createWorld(t: TestContext) {
  const server = await startTestServer(t)
  const connectTo = async (): Promise<NatsConnection> => {
    const nc = await connect({ servers: server.url, maxReconnectAttempts: -1, reconnectTimeWait: 50 })
    t.after(() => nc.close())
    return nc
  }
  const operator = await connectTo()
  const jsm = await jetstreamManager(operator)
  const kv = await new Kvm(operator).create(bucketName)
  return { server, jsm, kv, operator, connectTo }
}

/**
 * How many lines of what was told these take up. There may be a `listed` before each: a watch that has heard nothing
 * for a while, as on a busy machine, lists everything again, and tells only what is new.
 */
function placesOf(lines: readonly string[], told: readonly string[]): number {
  let at = 0
  for (const line of lines) {
    while (line !== 'listed' && told[at] === 'listed') at += 1
    assert.equal(told[at], line, `it told ${told.join(', ')}`)
    at += 1
  }
  return at
}

const entriesOf = (told: readonly string[]) => told.filter((line) => line !== 'listed')

/** A bucket as a supervisor has it, and what its watch was told, one line each. */
async function createBucket(nc: NatsConnection, options: { renewMs?: number } = {}) {
  const troubles: unknown[] = []
  const jsm = await jetstreamManager(nc, { checkAPI: false, timeout: 2_000 })
  const bucket = new ControlBucket({
    nc,
    jsm,
    inboxPrefix: '_INBOX.jobs.test',
    bucket: bucketName,
    trouble: (error) => troubles.push(error),
    ...options,
  })
  const told: string[] = []
  return {
    bucket,
    troubles,
    told,
    watch: (prefix = 'paused') =>
      bucket.watch(
        prefix,
        (key, value) => told.push(value === undefined ? `-${key}` : `+${key}=${value}`),
        () => told.push('listed'),
      ),
    /** Waits until this was told since the last call, and nothing else of any entry; returns what was told. */
    async tells(...lines: string[]): Promise<string[]> {
      const count = await eventually(`the watch tells ${lines.join(', ')}, it told ${told.join(', ')}`, () =>
        placesOf(lines, told),
      )
      return told.splice(0, count)
    },
  }
}

async function watchers(jsm: JetStreamManager): Promise<number> {
  return (await jsm.streams.info(stream)).state.consumer_count
}

const put = (kv: KV, key: string, value = '{}') => kv.put(key, value)

test('reads, writes by compare-and-swap, and removes', async (t) => {
  const { connectTo, kv } = await createWorld(t)
  const [one, other] = [await createBucket(await connectTo()), await createBucket(await connectTo())]
  const key = 'owners.email.send'
  assert.deepEqual(await one.bucket.read(key), { value: undefined, revision: 0, writtenAt: 0 })
  const first = await one.bucket.write(key, 'one', 0)
  assert.equal(await other.bucket.write(key, 'other', 0), undefined, 'somebody was first')
  const { writtenAt, ...read } = await other.bucket.read(key)
  assert.deepEqual(read, { value: 'one', revision: first })
  assert.ok(Math.abs(writtenAt - Date.now()) < 60_000)
  const won = await Promise.all([one, other].map(({ bucket }, n) => bucket.write(key, `${n}`, first!)))
  assert.equal(won.filter((revision) => revision !== undefined).length, 1)
  await one.bucket.set(key, 'whatever')
  assert.equal(await other.bucket.write(key, 'other', first!), undefined)
  await one.bucket.remove(key)
  const removed = await other.bucket.read(key)
  assert.equal(removed.value, undefined)
  assert.ok(removed.revision > 0)
  assert.ok(await other.bucket.write(key, 'again', removed.revision))
  await kv.purge(key)
  assert.equal((await one.bucket.read(key)).value, undefined)
})

test('a watch tells what is there, when that is all, and each change once', async (t) => {
  const { connectTo, kv, jsm } = await createWorld(t)
  await put(kv, 'paused.a', '1')
  await put(kv, 'paused.gone')
  await kv.delete('paused.gone')
  await put(kv, 'other.x')
  const { bucket, watch, tells, told } = await createBucket(await connectTo())
  const end = watch()
  await tells('+paused.a=1', 'listed')
  await put(kv, 'paused.b.c', '2')
  await tells('+paused.b.c=2')
  await put(kv, 'paused.a', '3')
  await tells('+paused.a=3')
  await kv.delete('paused.b.c')
  await tells('-paused.b.c')
  await kv.purge('paused.a')
  await tells('-paused.a')

  const changes = ['+paused.b.c=5', '+paused.a=6', '-paused.b.c', '-paused.a']
  await eventually('changes in a row, none of them passed over by a new listing', async () => {
    told.length = 0
    await put(kv, 'paused.b.c', '5')
    await put(kv, 'paused.a', '6')
    await kv.delete('paused.b.c')
    await kv.purge('paused.a')
    // A listing that came behind all of them tells nothing of them at all.
    await eventually('the last one is told', () => told.includes('-paused.a'), 5_000)
    assert.deepEqual(told, changes)
    return true
  })
  told.length = 0

  // Begun anew, it tells nothing twice.
  await put(kv, 'paused.d', '4')
  await tells('+paused.d=4')
  for (let times = 0; times < 5; times += 1) bucket.reset()
  const since = await tells('listed')
  await put(kv, 'paused.d', '4')
  since.push(...(await tells('+paused.d=4')))
  assert.ok(since.length - 1 < 5, 'a listing that was begun anew is not told of')

  // What was removed without a marker is noticed by the next listing.
  await jsm.streams.purge(stream, { filter: `$KV.${bucketName}.paused.d` })
  bucket.reset()
  await tells('-paused.d', 'listed')
  assert.deepEqual(entriesOf(told), [])

  await eventually('one consumer is there', async () => (await watchers(jsm)) === 1)
  end()
  told.length = 0
  await eventually('none is left', async () => (await watchers(jsm)) === 0)
  await put(kv, 'paused.e')
  bucket.reset()
  assert.equal(await watchers(jsm), 0)
  assert.deepEqual(told, [])
})

test('the markers of removed entries go away, and nothing that was written since', async (t) => {
  const { connectTo, kv, jsm } = await createWorld(t)
  for (const key of ['paused.a', 'paused.b', 'other.x']) {
    await put(kv, key)
    await kv.delete(key)
  }
  const first = await createBucket(await connectTo(), { renewMs: 400 })
  const second = await createBucket(await connectTo(), { renewMs: 400 })
  for (const { watch } of [first, second]) watch()
  await eventually('the listing is done', () => first.told.length > 0)
  await put(kv, 'paused.b', 'new')
  await eventually('two entries are left', async () => (await jsm.streams.info(stream)).state.messages === 2)
  assert.equal((await kv.get('paused.b'))?.string(), 'new')
  assert.equal((await kv.get('other.x'))?.operation, 'DEL', 'nobody watches that')
  await eventually('both were renewed', () => first.told.length > 4 && second.told.length > 4)
  for (const { told, bucket } of [first, second]) {
    assert.deepEqual(entriesOf(told), ['+paused.b=new'])
    bucket.close()
  }
  await eventually('no consumer is left', async () => (await watchers(jsm)) === 0)
})

test('a watch survives lost connections, a killed broker and a lost consumer', async (t) => {
  const { server, connectTo, kv, jsm } = await createWorld(t)
  const nc = await connectTo()
  const { bucket, watch, told } = await createBucket(nc)
  void (async () => {
    for await (const status of nc.status()) if (status.type === 'reconnect') bucket.reset()
  })()
  watch()
  await put(kv, 'paused.a')
  await eventually('it is told', () => told.includes('+paused.a={}'))
  told.length = 0

  server.kill('SIGKILL')
  await server.ended()
  await server.restart()
  await eventually('the broker answers', () => put(kv, 'paused.b'))
  await eventually('it is told', () => told.includes('+paused.b={}') && told.includes('listed'))
  assert.deepEqual(entriesOf(told), ['+paused.b={}'], 'and nothing else')
  told.length = 0

  // The server falls silent, because somebody removed the consumer.
  for await (const { name } of jsm.consumers.list(stream)) await jsm.consumers.delete(stream, name)
  await put(kv, 'paused.c')
  await eventually('it is told', () => told.includes('+paused.c={}') && told.includes('listed'))
  assert.deepEqual(entriesOf(told), ['+paused.c={}'], 'and nothing else')
  await eventually('one consumer is there', async () => (await watchers(jsm)) === 1)
  bucket.close()
  await eventually('none is left', async () => (await watchers(jsm)) === 0)
})

test('a bucket that is made anew is watched again, and its first revisions are told', async (t) => {
  const { connectTo, kv, jsm, operator } = await createWorld(t)
  const { bucket, watch, tells, told, troubles } = await createBucket(await connectTo())
  await put(kv, 'paused.a', 'old')
  await put(kv, 'paused.b', 'old')
  watch()
  await tells('+paused.a=old', '+paused.b=old', 'listed')
  await jsm.streams.delete(stream)
  await eventually('the watch has noticed', () => troubles.length > 0)
  const anew = await new Kvm(operator).create(bucketName)
  await put(anew, 'paused.a', 'new')
  await eventually('the new entry and the lack of the other are told', () => told.includes('-paused.b'))
  assert.equal((await bucket.read('paused.a')).value, 'new')
  // It may be told as removed in between, when the listing came before it was there.
  assert.equal(told.filter((line) => line.includes('paused.a')).at(-1), '+paused.a=new')
})

test('everything rejects soon while the broker is away', async (t) => {
  const { server, connectTo } = await createWorld(t)
  const { bucket } = await createBucket(await connectTo())
  server.kill('SIGKILL')
  await server.ended()
  await Promise.all([
    assert.rejects(bucket.read('paused.a')),
    assert.rejects(bucket.write('paused.a', '', 0)),
    assert.rejects(bucket.set('paused.a', '')),
    assert.rejects(bucket.remove('paused.a')),
  ])
})
