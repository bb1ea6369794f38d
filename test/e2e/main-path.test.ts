import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import { World } from '../support/world.ts'

test('a job on its main path', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_JOB_LOGS: 'errors', MILLRACE_THREADS: '2' } })
  const supervisor = await world.supervise()
  const { broker, ledger } = world

  await t.test('G1 G2: a thousand raw publishes run exactly once each and every counter agrees', async () => {
    const jobs = 1000
    for (let n = 0; n < jobs; n++) broker.nc.publish('jobs.count', JSON.stringify({ n }))
    await broker.nc.flush()
    await supervisor.metric('millrace_jobs_settled_total', { handler: 'count', verdict: 'ack' }, jobs)
    await broker.drained()

    const starts = ledger.lines().filter((line) => line.handler === 'count' && line.kind === 'start')
    const ends = ledger.lines().filter((line) => line.handler === 'count' && line.kind === 'end')
    assert.equal(starts.length, jobs)
    assert.equal(ends.length, jobs)
    assert.equal(new Set(ends.map((line) => line['n'])).size, jobs)
    assert.equal(new Set(ends.map((line) => line.id)).size, jobs)
    assert.ok(starts.every((line) => line.attempt === 1))
    assert.ok(starts.every((line) => /^JOBS:\d+$/.test(line.id)))

    const metrics = await supervisor.metrics()
    const count = { handler: 'count' }
    assert.equal(metrics.sum('millrace_attempts_total', count), jobs)
    assert.equal(metrics.sum('millrace_attempts_total', { ...count, outcome: 'completed' }), jobs)
    assert.equal(metrics.sum('millrace_jobs_settled_total', count), jobs)
    assert.equal(metrics.sum('millrace_job_duration_seconds_count', count), jobs)
    assert.equal(metrics.sum('millrace_job_wait_seconds_count', count), jobs)
    assert.equal(metrics.sum('millrace_jobs_in_flight', count), 0)
    assert.equal(metrics.sum('millrace_dead_letters_total'), 0)
    assert.equal(metrics.sum('millrace_lease_lost_total'), 0)
    assert.deepEqual(await broker.deadLetters(), [])
  })

  await t.test('handlers in nested folders are named by their path, whatever they export', async () => {
    for (const handler of ['email.send', 'deep.er.nested-one', 'io', 'act']) {
      const id = await broker.enqueue(handler, { do: 'return' })
      await supervisor.metric('millrace_attempts_total', { handler, outcome: 'completed' }, 1)
      assert.deepEqual(
        ledger.of(id).map((line) => [line.handler, line.kind]),
        [
          [handler, 'start'],
          [handler, 'end'],
        ],
      )
    }
  })

  await t.test('every handler has the durable consumer of the contract', async () => {
    const consumers = await broker.jsm.consumers.list('JOBS').next()
    const names = consumers.map((consumer) => consumer.name).sort()
    assert.deepEqual(names, [
      'act',
      'bytes',
      'checked',
      'count',
      'deep_er_nested-one',
      'email_send',
      'io',
      'patient',
      'single',
      'unhurried',
    ])
    const { config } = consumers.find((consumer) => consumer.name === 'email_send')!
    assert.equal(config.filter_subject ?? config.filter_subjects?.join(), 'jobs.email.send')
    assert.equal(config.ack_policy, 'explicit')
    assert.equal(config.max_deliver, -1)
    assert.equal(config.max_waiting, 4096)
    assert.equal(config.max_ack_pending, -1)
    assert.ok(!config.backoff?.length)
  })

  await t.test('the streams are those of the contract', async () => {
    const { config: jobs } = await broker.jsm.streams.info('JOBS')
    assert.deepEqual(jobs.subjects, ['jobs.>'])
    assert.equal(jobs.retention, 'workqueue')
    assert.equal(jobs.discard, 'new')
    assert.equal(jobs.max_msg_size, broker.nc.info!.max_payload - 16 * 1024)
    const { config: dead } = await broker.jsm.streams.info('JOBS_DEAD')
    assert.deepEqual(dead.subjects, ['dead.jobs.>'])
    assert.equal(dead.retention, 'limits')
    assert.equal(dead.discard, 'new')
  })

  await t.test(
    'a job sees its headers, its place in the stream and the rules that it runs under',
    async () => {
      const before = Date.now()
      const headers = {
        'X-Tenant': 'blue',
        'x-many': ['one', 'two'],
        traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      }
      const id = await broker.enqueue('act', { do: 'see', text: 'grüße ✓' }, { id: 'order-17', headers })
      await broker.drained()
      const seen = ledger.of(id, 'seen')[0]!
      assert.equal(seen.id, 'order-17')
      assert.deepEqual(seen['payload'], { do: 'see', text: 'grüße ✓' })
      const got = seen['headers'] as Record<string, string>
      assert.equal(got['x-tenant'], 'blue')
      assert.equal(got['x-many'], 'one, two')
      assert.equal(got['traceparent'], headers.traceparent)
      assert.equal(seen.handler, 'act')
      assert.equal(seen.attempt, 1)
      assert.equal(seen['maxAttempts'], 5)
      assert.equal(seen['redelivered'], false)
      assert.equal(seen['subject'], 'jobs.act')
      assert.ok(Number.isInteger(seen['sequence']))
      assert.equal(seen['enqueuedAtIsDate'], true)
      assert.equal(seen['deadlineAtIsDate'], true)
      assert.equal(seen['aborted'], false)
      const enqueuedAt = Date.parse(seen['enqueuedAt'] as string)
      assert.ok(enqueuedAt > before - 5_000 && enqueuedAt < Date.now() + 5_000)
      assert.ok(Date.parse(seen['deadlineAt'] as string) <= Date.now() + 30_000)
    },
  )

  await t.test('a job id that is enqueued twice runs once', async () => {
    await broker.enqueue('act', { do: 'return' }, { id: 'only-once' })
    await broker.enqueue('act', { do: 'return' }, { id: 'only-once' })
    await broker.enqueue('act', { do: 'return' }, { id: 'after-it' })
    await broker.drained()
    assert.equal(ledger.starts('only-once').length, 1)
  })

  await t.test(
    'a shared thread runs many jobs at once, a cpu thread one, a limited handler as many as it says',
    async () => {
      for (const [handler, jobs, atOnce] of [
        ['io', 100, 100],
        ['act', 6, 2],
        ['single', 4, 1],
      ] as const) {
        const gate = world.gate(`at-once-${handler}`)
        const held = { do: 'hold', gate: gate.path }
        const ids = new Set(
          await broker.enqueueAll(
            handler,
            Array.from({ length: jobs }, () => held),
          ),
        )
        const mine = () => ledger.lines().filter((line) => ids.has(line.id))
        await eventually(`${atOnce} jobs of ${handler} run at once`, () => mine().length >= atOnce)
        gate.open()
        await broker.drained()
        let running = 0
        let most = 0
        for (const line of mine()) {
          running += line.kind === 'start' ? 1 : -1
          most = Math.max(most, running)
        }
        assert.equal(most, atOnce)
        assert.equal(new Set(mine().map((line) => line.thread)).size, handler === 'act' ? 2 : 1)
      }
    },
  )
})

test('a shared thread that was blocked for a moment takes jobs again, although none of its own ends', async (t) => {
  const world = await World.create(t)
  await world.supervise()
  const { broker, ledger } = world
  const gate = world.gate('now')
  const blocking = await broker.enqueue('io', { do: 'compute-and-hold', ms: 300, gate: gate.path })
  await eventually('it blocks the thread', () => ledger.starts(blocking).length === 1)
  const ids = await broker.enqueueAll('io', [{ do: 'return' }, { do: 'return' }, { do: 'return' }])
  await eventually('the others are done', () => ids.every((id) => ledger.ends(id).length === 1))
  assert.equal(ledger.ends(blocking).length, 0)
  gate.open()
  await broker.drained()
  for (const id of [blocking, ...ids]) assert.deepEqual(ledger.attempts(id), [1])
})

test('a supervisor asks now and then whether its acks were worked off, and is answered', async (t) => {
  const world = await World.create(t)
  await world.supervise()
  const { broker } = world
  const asked: string[] = []
  const answered = new Set<string>()
  const acks = broker.nc.subscribe('$JS.ACK.JOBS.act.>', {
    callback: (_, { reply }) => void (reply && asked.push(reply)),
  })
  const answers = broker.nc.subscribe('_INBOX.>', {
    callback: (_, { subject }) => void answered.add(subject),
  })
  await broker.nc.flush()
  await eventually('an ack is answered', async () => {
    await broker.enqueue('act', { do: 'return' })
    await broker.drained()
    return asked.some((reply) => answered.has(reply))
  })
  acks.unsubscribe()
  answers.unsubscribe()
})
