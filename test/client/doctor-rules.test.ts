import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  judgeAccount,
  judgeClock,
  judgeConsumers,
  judgeDurability,
  judgeRights,
  judgeServer,
  judgeStream,
  judgeTopology,
} from '#src/client/doctor-rules.js'
import { readSettings } from '#src/config/settings.js'
import { namesFor } from '#src/core/names.js'

const names = namesFor('jobs')
const { settings } = readSettings({ environment: {} })
const jobs = {
  name: 'JOBS',
  replicas: 1,
  storage: 'file',
  messages: 0,
  bytes: 0,
  maxMessages: undefined,
  maxBytes: undefined,
  isLeaderless: false,
  offline: [],
  serverAt: undefined,
}
const version = (text: string) => {
  const [major = 0, minor = 0, patch = 0] = text.split('.').map(Number)
  return { major, minor, patch }
}
const levels = (findings: { level: string }[]) => findings.map(({ level }) => level)

test('the version of the server is named, and an old one is a warning', () => {
  const url = 'nats://a:4222'
  assert.deepEqual(levels(judgeServer(version('2.9.10'), url)), ['ok', 'warning', 'ok'])
  assert.deepEqual(levels(judgeServer(version('2.10.27'), url)), ['ok', 'ok'])
  assert.deepEqual(judgeServer(version('2.15.1'), url), [
    { level: 'ok', check: 'server', message: 'nats-server 2.15.1 at nats://a:4222', remedy: undefined },
  ])
})

test('what is nearly full is a warning, and what is full an error', () => {
  const use = (used: number, limit: number) =>
    levels(judgeAccount({ limits: [{ what: 'streams', used, limit }] }))
  assert.deepEqual([use(7, 10), use(8, 10), use(10, 10), use(0, 0)], [['ok'], ['warning'], ['error'], ['ok']])
  assert.deepEqual(levels(judgeAccount({ limits: [] })), ['ok'])
  const room = (messages: number) => levels(judgeStream({ ...jobs, messages, maxMessages: 10 }))
  assert.deepEqual([room(7), room(8), room(10)], [[], ['warning'], ['error']])
  assert.match(judgeStream({ ...jobs, bytes: 9, maxBytes: 9 })[0]!.remedy!, /MILLRACE_MAX_BYTES/)
})

test('a stream without a leader is an error, a replica that is away a warning', () => {
  assert.deepEqual(levels(judgeStream({ ...jobs, isLeaderless: true, offline: ['n2'] })), [
    'error',
    'warning',
  ])
})

test('one replica and the default sync are advice, memory is, too', () => {
  const one = judgeDurability(jobs, version('2.9.10'))
  assert.deepEqual(levels(one), ['warning', 'warning'])
  assert.match(one[1]!.remedy!, /^upgrade the server to 2\.10/)
  assert.match(
    judgeDurability(jobs, version('2.10.0'))[1]!.remedy!,
    /^put jetstream \{ sync_interval: always/,
  )
  assert.deepEqual(levels(judgeDurability({ ...jobs, replicas: 3 }, version('2.10.0'))), ['ok'])
  assert.match(judgeDurability({ ...jobs, storage: 'memory' }, version('2.10.0'))[0]!.message, /memory/)
})

test('clocks that are apart are a warning', () => {
  assert.deepEqual(judgeClock(jobs, 0), [])
  assert.deepEqual(levels(judgeClock({ ...jobs, serverAt: 1_000 }, 2_000)), ['ok'])
  assert.deepEqual(levels(judgeClock({ ...jobs, serverAt: 10_000 }, 2_000)), ['warning'])
})

test('each drifted field comes with its setting, or with what to do when it cannot be changed', () => {
  const remedy = (warning: string) =>
    judgeTopology({ missing: [], changed: [], warnings: [warning], unseen: [] }, settings, [])[0]!.remedy!
  assert.match(remedy('consumer JOBS/a_b: ack_wait is 1, expected 2'), /MILLRACE_ACK_WAIT_MS/)
  assert.match(remedy('consumer JOBS/a_b: max_waiting is 512, expected 4096'), /nats consumer rm JOBS a_b -f/)
  assert.match(
    remedy('stream JOBS: storage is "memory", not "file"; it cannot be changed'),
    /MILLRACE_STORAGE/,
  )
  assert.match(remedy('bucket jobs_results: max_age is 1, expected 2'), /MILLRACE_RESULT_TTL_MS/)
  assert.doesNotMatch(remedy('consumer JOBS/a_b: max_deliver is 3, expected -1'), /everywhere/)
  const fine = judgeTopology({ missing: [], changed: [], warnings: [], unseen: [] }, settings, ['a'])
  assert.deepEqual(levels(fine), ['ok'])
})

test('consumers that are not ours keep jobs away', () => {
  const consumer = { stream: 'JOBS', priority: 'normal', name: 'a_b', filter: 'jobs.a.b' } as const
  assert.deepEqual(judgeConsumers([consumer], names), [])
  for (const foreign of [
    { ...consumer, name: 'ab' },
    { ...consumer, filter: 'jobs.a.*' },
    { ...consumer, filter: undefined },
    { ...consumer, filter: 'other.a.b' },
  ])
    assert.deepEqual(levels(judgeConsumers([foreign], names)), ['error'])
})

test('what a user may not do is named with what it is for', () => {
  const all = { allow: [], deny: [] }
  const judge = (publish: typeof all | { allow: string[]; deny: string[] }) =>
    judgeRights({ user: 'u', publish, subscribe: all }, names, '_INBOX.jobs.x')
  assert.deepEqual(levels(judge(all)), ['ok'])
  assert.deepEqual(levels(judgeRights(undefined, names, '_INBOX.jobs.x')), ['ok'])
  const denied = judge({ allow: [], deny: ['$JS.ACK.JOBS.a.>'] })
  assert.equal(denied.length, 1)
  assert.match(
    denied[0]!.message,
    /^the user u may not publish \$JS\.ACK\.JOBS\.>, so .* cannot settle jobs$/,
  )
  assert.deepEqual(levels(judge({ allow: ['jobs.>'], deny: [] })), [...Array(6).fill('error'), 'warning'])
  const asked = judge({ allow: [], deny: ['answers.>'] })
  assert.match(asked[0]!.message, /^the user u may not publish answers\.jobs\.\*, .* answer millrace where$/)
})

test('a consumer that no server answers for is not called missing', () => {
  const missing = [
    { what: 'consumer JOBS/a', unserved: 'no leader' },
    { what: 'consumer JOBS/b' },
    { what: 'stream JOBS_DEAD', unserved: 'no leader' },
  ]
  const [unserved, gone, stream] = judgeTopology(
    { missing, changed: [], warnings: [], unseen: [] },
    settings,
    ['a', 'b'],
  )
  assert.equal(unserved!.message, 'consumer JOBS/a: no leader')
  assert.match(unserved!.remedy!, /nats consumer rm JOBS a -f/)
  const unseen = judgeTopology(
    { missing: [], changed: [], warnings: [], unseen: ['consumer JOBS/a'] },
    settings,
    ['a'],
  )
  assert.deepEqual(levels(unseen), ['warning'])
  assert.equal(gone!.message, 'consumer JOBS/b is missing')
  assert.equal(stream!.message, 'stream JOBS_DEAD: no leader')
  assert.doesNotMatch(stream!.remedy!, / rm /, 'what is in it would be lost')
})
