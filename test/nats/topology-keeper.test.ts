import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { JetStreamApiError, type JetStreamManager } from '@nats-io/jetstream'
import { errors, headers } from '@nats-io/transport-node'
import { namesFor } from '#src/core/names.js'
import type { BrokerConnection } from '#src/nats/connection.js'
import { Incarnations } from '#src/nats/incarnations.js'
import { type TopologyHooks, TopologyKeeper } from '#src/nats/topology-keeper.js'
import { eventually } from '../support/eventually.ts'

const streamMissing = new JetStreamApiError({ code: 404, err_code: 10059, description: 'stream not found' })
const leaderless = new JetStreamApiError({
  code: 503,
  err_code: 10008,
  description: 'JetStream system temporarily unavailable',
})
const version = { major: 2, minor: 9, patch: 10 }

interface Parts {
  readonly jsm: JetStreamManager
  readonly connection?: object
  /** What it is asked besides; without an answer nobody leads what is called unserved. */
  readonly request?: (subject: string) => Promise<object>
  readonly settings?: { manage: boolean }
  readonly handlers?: readonly string[]
  /** Handlers with jobs of high priority. */
  readonly high?: readonly string[]
  readonly hooks: Partial<TopologyHooks>
}

/** A keeper on a broker of which a test answers the questions. */
function keeperOf({
  jsm,
  connection = { connected: true, epoch: 1, version, nc: { info: { server_id: 'first' } } },
  request = async () => {
    throw new errors.TimeoutError()
  },
  settings = { manage: true },
  handlers = [],
  high = [],
  hooks,
}: Parts) {
  const nothing = () => {}
  return new TopologyKeeper(
    {
      nc: { request },
      jsm,
      names: namesFor('jobs'),
      settings: { ...settings, replicas: 1, storage: 'file' },
      handlers,
      hasSchedules: false,
      keepsResults: false,
      noticed: { high: new Set(high), low: new Set() },
    } as unknown as ConstructorParameters<typeof TopologyKeeper>[0],
    jsm,
    connection as BrokerConnection,
    new Incarnations(),
    {
      verified: nothing,
      streamReplaced: nothing,
      delayedFound: nothing,
      changed: nothing,
      healed: nothing,
      consumerMade: nothing,
      sourceBound: nothing,
      report: nothing,
      failed: (error) => assert.fail(String(error)),
      ...hooks,
    },
  )
}

/** A keeper whose looks all time out, on a server that answers what it is asked after them, or does not. */
async function keep(
  t: TestContext,
  {
    answersThen,
    looks = 1,
    reconnects = false,
  }: { answersThen: boolean; looks?: number; reconnects?: boolean },
) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const left: string[] = []
  const asked: string[] = []
  let failed = 0
  const connection = {
    connected: true,
    epoch: 1,
    version,
    moveOn: (why: string) => left.push(why),
    nc: {
      info: { server_id: 'first' },
      request: async (subject: string) => {
        asked.push(subject)
        if (!answersThen) throw new errors.TimeoutError()
      },
    },
  }
  const deaf = async () => {
    throw new errors.TimeoutError()
  }
  const jsm = { streams: { info: deaf, add: deaf } } as unknown as JetStreamManager
  const hooks = {
    failed: () => {
      failed += 1
      if (reconnects) connection.epoch += 1
    },
  }
  const keeper = keeperOf({ jsm, connection, hooks })
  keeper.reconnected()
  while (failed < looks) {
    t.mock.timers.tick(1_000)
    await new Promise(setImmediate)
  }
  keeper.close()
  return { left: left.length, asked }
}

test('a server that does not answer, nor when it is asked once more, is left', async (t) => {
  assert.deepEqual(await keep(t, { answersThen: false }), { left: 1, asked: ['$JS.API.STREAM.INFO.JOBS'] })
})

test('a server that answers again when a look has timed out is not left', async (t) => {
  assert.deepEqual(await keep(t, { answersThen: true }), { left: 0, asked: ['$JS.API.STREAM.INFO.JOBS'] })
})

test('a server is left when look after look times out, whatever else it answers', async (t) => {
  const { left, asked } = await keep(t, { answersThen: true, looks: 9 })
  assert.equal(left, 1)
  assert.equal(asked.length, 8)
})

test('a look that began on an earlier connection says nothing of the server that there is', async (t) => {
  assert.equal((await keep(t, { answersThen: false, reconnects: true })).left, 0)
})

test('what has no leader holds up nothing else, and no job after a reconnect', async (t) => {
  const unserved = ['JOBS_DEAD', 'KV_jobs_control', 'JOBS_LOW', 'JOBS_DELAYED']
  const asked: string[] = []
  const replaced: string[] = []
  let elected = false
  const jsm = {
    streams: {
      info: async (name: string) => {
        if (unserved.includes(name) && !elected) throw leaderless
        return {
          created: '2026-01-01T00:00:00Z',
          config: { subjects: [], retention: name === 'JOBS_DEAD' ? 'limits' : 'workqueue' },
        }
      },
    },
    consumers: {
      info: async (_: string, name: string) => {
        asked.push(name)
        if (name === 'first' && !elected) throw leaderless
        return { config: { ack_policy: 'explicit' } }
      },
    },
  } as unknown as JetStreamManager
  let verified = 0
  let healed = 0
  const keeper = keeperOf({
    jsm,
    settings: { manage: false },
    handlers: ['first', 'second'],
    high: ['second'],
    hooks: {
      verified: () => {
        verified += 1
      },
      healed: () => {
        healed += 1
      },
      streamReplaced: (stream) => replaced.push(stream),
    },
  })
  t.after(() => keeper.close())
  keeper.disconnected()
  keeper.reconnected()
  await eventually('the connection may be used', () => verified === 1)
  assert.deepEqual(
    keeper.missing,
    [
      'stream JOBS_DEAD',
      'bucket jobs_control',
      'consumer JOBS/first',
      // Nobody needs JOBS_LOW.
      'stream JOBS_DELAYED',
    ].map((what) => `${what}: JetStream system temporarily unavailable`),
  )
  assert.equal(asked.filter((name) => name === 'second').length, 2)
  elected = true
  await eventually('it has healed', () => healed === 1)
  assert.deepEqual([keeper.missing, replaced], [[], []])
})

test('a consumer that only a server calls leaderless is there, and is looked at again', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const updated: string[] = []
  let isBehind = true
  const jsm = {
    streams: {
      info: async (name: string) => ({
        created: '2026-01-01T00:00:00Z',
        config: { subjects: [], retention: name === 'JOBS_DEAD' ? 'limits' : 'workqueue' },
      }),
      update: async () => ({ config: {} }),
    },
    consumers: {
      info: async (_: string, name: string) => {
        if (name === 'send' && isBehind) throw leaderless
        return { config: { ack_policy: 'explicit' } }
      },
      update: async (_: string, name: string) => updated.push(name),
    },
  } as unknown as JetStreamManager
  const request = async (subject: string) => {
    assert.equal(subject, '$JS.API.CONSUMER.MSG.NEXT.JOBS.send')
    return { headers: headers(400, 'Bad Request') }
  }
  const keeper = keeperOf({ jsm, request, handlers: ['send', 'other'], hooks: {} })
  t.after(() => keeper.close())
  await keeper.begin()
  assert.deepEqual([keeper.missing, updated], [[], ['other', 'mover']])
  isBehind = false
  t.mock.timers.tick(10_000)
  for (let turns = 0; turns < 1_000 && !updated.includes('send'); turns += 1) await new Promise(setImmediate)
  assert.ok(updated.includes('send'))
})

test('a forgotten consumer is made anew, and one whose making is not answered ends no start', async (t) => {
  const made: string[] = []
  const jsm = {
    streams: {
      info: async (name: string) => ({
        created: '2026-01-01T00:00:00Z',
        config: { subjects: [], retention: name === 'JOBS_DEAD' ? 'limits' : 'workqueue' },
      }),
      update: async () => ({ config: {} }),
    },
    consumers: {
      info: async (stream: string) => {
        if (stream === 'JOBS') throw leaderless
        return { config: { ack_policy: 'explicit' } }
      },
      add: async (_: string, { durable_name }: { durable_name: string }) => {
        if (durable_name === 'silent') throw new errors.TimeoutError()
        made.push(durable_name)
      },
      update: async () => ({}),
    },
  } as unknown as JetStreamManager
  const request = async (subject: string) => {
    if (subject !== '$JS.API.CONSUMER.NAMES.JOBS') throw new errors.TimeoutError()
    return { json: () => ({ total: 1, consumers: ['known'] }) }
  }
  const handlers = ['silent', 'known', 'forgotten']
  const keeper = keeperOf({
    jsm,
    request,
    handlers,
    hooks: { consumerMade: (handler) => made.push(handler) },
  })
  t.after(() => keeper.close())
  await keeper.begin()
  assert.deepEqual(made, ['forgotten', 'forgotten'])
  assert.deepEqual(
    keeper.missing,
    ['silent', 'known'].map((name) => `consumer JOBS/${name}: JetStream system temporarily unavailable`),
  )
})

test('a stream that is gone is replaced at once for the engine, made a second later, after a restart at once', async (t) => {
  let isThere = true
  let serial = 0
  const said: string[] = []
  const streamOf = (name: string) => ({
    created: `2026-01-01T00:00:0${name === 'JOBS' ? serial : 0}Z`,
    config: { subjects: [], retention: name === 'JOBS_DEAD' ? 'limits' : 'workqueue' },
  })
  const jsm = {
    streams: {
      info: async (name: string) => {
        if (name === 'JOBS' && !isThere) throw streamMissing
        return streamOf(name)
      },
      add: async ({ name }: { name: string }) => {
        isThere = true
        serial += 1
        said.push(`made ${name}`)
        return streamOf(name)
      },
      update: async (name: string) => streamOf(name),
    },
    consumers: {
      info: async () => ({ config: { ack_policy: 'explicit' } }),
      update: async () => ({}),
    },
  } as unknown as JetStreamManager
  const connection = { connected: true, epoch: 1, version, nc: { info: { server_id: 'first' } } }
  const keeper = keeperOf({
    jsm,
    connection,
    handlers: ['send'],
    hooks: {
      verified: () => said.push('verified'),
      streamReplaced: (stream, at) =>
        said.push(`${stream} ${at === Number.POSITIVE_INFINITY ? 'gone' : 'new'}`),
    },
  })
  t.after(() => keeper.close())
  await keeper.begin()
  isThere = false
  keeper.look()
  await eventually('it is gone', () => said.length > 0)
  assert.deepEqual(said, ['JOBS gone'])
  assert.deepEqual(keeper.missing, ['stream JOBS', 'consumer JOBS/send'])
  await eventually('it is made', () => isThere)
  await eventually('it is all there', () => keeper.missing.length === 0)
  assert.deepEqual(said.splice(0), ['JOBS gone', 'made JOBS', 'JOBS new'])

  isThere = false
  keeper.disconnected()
  connection.nc.info.server_id = 'second'
  keeper.reconnected()
  await eventually('the connection may be used', () => said.includes('verified'))
  assert.deepEqual(said, ['made JOBS', 'JOBS new', 'verified'])
})
