import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import type { LogLine } from '../support/supervisor.ts'
import { World } from '../support/world.ts'

const families: [name: string, type: string][] = [
  ['millrace_attempts_total', 'counter'],
  ['millrace_jobs_settled_total', 'counter'],
  ['millrace_job_duration_seconds', 'histogram'],
  ['millrace_job_wait_seconds', 'histogram'],
  ['millrace_jobs_in_flight', 'gauge'],
  ['millrace_queue_pending', 'gauge'],
  ['millrace_queue_ack_pending', 'gauge'],
  ['millrace_queue_redelivered', 'gauge'],
  ['millrace_queue_oldest_age_seconds', 'gauge'],
  ['millrace_unclaimed_jobs', 'gauge'],
  ['millrace_stranded_jobs', 'gauge'],
  ['millrace_dead_letters_total', 'counter'],
  ['millrace_dead_letters', 'gauge'],
  ['millrace_threads', 'gauge'],
  ['millrace_thread_restarts_total', 'counter'],
  ['millrace_lease_lost_total', 'counter'],
  ['millrace_duplicates_suppressed_total', 'counter'],
  ['millrace_ack_retries_total', 'counter'],
  ['millrace_nats_connected', 'gauge'],
  ['millrace_nats_reconnects_total', 'counter'],
  ['millrace_build_info', 'gauge'],
]

test('what a supervisor tells about its jobs', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_MAX_ATTEMPTS: '2' } })
  const supervisor = await world.supervise()
  const { broker } = world

  const lineOf = async (id: string, message: string): Promise<LogLine> => {
    const line = await supervisor.line((it) => it['job_id'] === id && it.msg === message)
    assert.equal(line['handler'], 'act')
    assert.equal(typeof line['attempt'], 'number')
    assert.match(String(line['worker_id']), /^[^/\s]+\/\d+$/)
    assert.ok(line.level >= 30, `${message} has level ${line.level}`)
    return line
  }

  await t.test('a job that completes: job started, job completed', async () => {
    const id = await broker.enqueue('act', { do: 'return' })
    assert.equal((await lineOf(id, 'job started'))['attempt'], 1)
    const completed = await lineOf(id, 'job completed')
    assert.equal(completed['attempt'], 1)
    assert.equal(typeof completed['duration_ms'], 'number')
    assert.notEqual(String(completed['worker_id']).split('/')[1], '0')
  })

  await t.test('a job that fails: job retrying, then job dead-lettered', async () => {
    const id = await broker.enqueue('act', { do: 'throw', message: 'as the handler put it', code: 'E_MINE' })
    const retrying = await lineOf(id, 'job retrying')
    assert.equal(retrying['attempt'], 1)
    assert.equal(retrying['max_attempts'], 2)
    assert.equal(typeof retrying['delay_ms'], 'number')
    assert.ok(Number(retrying['delay_ms']) <= 20)
    assert.ok(JSON.stringify(retrying['err']).includes('as the handler put it'))
    const dead = await lineOf(id, 'job dead-lettered')
    assert.equal(dead['attempt'], 2)
    assert.equal(dead['reason'], 'exhausted')
  })

  await t.test('a job that never ran has attempt 0 and thread 0', async () => {
    const expired = new Date(0).toISOString()
    for (const [reason, body, headers] of [
      ['invalid', '{"do":"return"}', { 'Millrace-Deadline-Ms': 'soon' }],
      ['expired', '{"do":"return"}', { 'Millrace-Expires-At': expired }],
      ['invalid', 'not JSON', { 'X-Any': 'thing' }],
    ] as const) {
      const id = await broker.enqueue('act', body, { headers })
      const dead = await lineOf(id, 'job dead-lettered')
      assert.equal(dead['reason'], reason)
      assert.equal(dead['attempt'], 0, body)
      assert.match(String(dead['worker_id']), /\/0$/, body)
    }
  })

  await t.test("a handler's logger writes to the same stdout with the same fields", async () => {
    const id = await broker.enqueue('act', { do: 'log', message: 'from the handler' })
    const line = await lineOf(id, 'from the handler')
    assert.equal(line['attempt'], 1)
    assert.equal(line['extra'], 7)
    const started = await lineOf(id, 'job started')
    assert.equal(line['worker_id'], started['worker_id'])
  })

  await t.test('every line about a job has the fields of the contract', () => {
    const messages = ['job started', 'job completed', 'job retrying', 'job dead-lettered']
    for (const line of supervisor.lines.filter((it) => messages.includes(it.msg))) {
      for (const field of ['job_id', 'handler', 'worker_id'])
        assert.equal(typeof line[field], 'string', line.msg)
      assert.equal(typeof line['attempt'], 'number', line.msg)
    }
    const strays = supervisor.stdout.split('\n').filter((line) => line !== '' && !line.startsWith('{'))
    assert.deepEqual(strays, [], 'stdout holds something that is not JSON')
  })

  await t.test('every metric of the contract is there with its type', async () => {
    const metrics = await supervisor.metrics()
    for (const [name, type] of families) assert.equal(metrics.types.get(name), type, name)
    assert.equal(metrics.sum('millrace_build_info'), 1)
    assert.equal(metrics.sum('millrace_nats_connected'), 1)
    assert.ok(metrics.sum('millrace_threads', { pool: 'cpu' }) >= 2)
    assert.ok(metrics.sum('millrace_threads', { pool: 'io' }) >= 1)
    for (const { name, labels } of metrics.samples) {
      if (name === 'millrace_attempts_total')
        assert.deepEqual(Object.keys(labels).sort(), ['handler', 'outcome'])
      if (name === 'millrace_jobs_settled_total')
        assert.deepEqual(Object.keys(labels).sort(), ['handler', 'verdict'])
      if (name === 'millrace_dead_letters_total')
        assert.deepEqual(Object.keys(labels).sort(), ['handler', 'reason'])
    }
  })

  await t.test('the gauges of the queue follow the broker', async () => {
    const gate = world.gate('now')
    const held = { do: 'hold', gate: gate.path }
    await broker.enqueueAll(
      'act',
      Array.from({ length: 10 }, () => held),
    )
    const act = { handler: 'act' }
    await eventually('the ten jobs are pending or delivered, and some are in flight', async () => {
      const metrics = await supervisor.metrics()
      const waiting = metrics.sum('millrace_queue_pending', act)
      const taken = metrics.sum('millrace_queue_ack_pending', act)
      assert.equal(waiting + taken, 10)
      assert.ok(metrics.sum('millrace_jobs_in_flight', act) >= 2)
      return true
    })
    gate.open()
    await broker.drained()
    await supervisor.metric('millrace_jobs_in_flight', act, 0)
  })
})

test('MILLRACE_JOB_LOGS decides which jobs are logged', async (t) => {
  const world = await World.create(t, { env: { MILLRACE_MAX_ATTEMPTS: '2' } })
  const { broker } = world

  await t.test('errors: only what did not simply complete', async () => {
    const supervisor = await world.supervise({ MILLRACE_JOB_LOGS: 'errors' })
    const fine = await broker.enqueue('act', { do: 'return' })
    const failing = await broker.enqueue('act', { do: 'throw' })
    await broker.deadLetter(failing)
    await supervisor.line((line) => line['job_id'] === failing && line.msg === 'job dead-lettered')
    assert.ok(supervisor.linesAbout(failing).some((line) => line.msg === 'job retrying'))
    await supervisor.stop()
    assert.deepEqual(supervisor.linesAbout(fine), [])
  })

  await t.test('auto: everything while there is little to do', async () => {
    const supervisor = await world.supervise({ MILLRACE_JOB_LOGS: 'auto' })
    const id = await broker.enqueue('act', { do: 'return' })
    await supervisor.line((line) => line['job_id'] === id && line.msg === 'job completed')
    assert.ok(supervisor.linesAbout(id).some((line) => line.msg === 'job started'))
    await supervisor.stop()
  })

  await t.test('auto: a summary in a flood, in which failures are still told one by one', async (flood) => {
    const jobs = 6000
    const ids: string[] = []
    for (let n = 0; n < jobs; n++) broker.nc.publish('jobs.count', JSON.stringify({ n }))
    ids.push(await broker.enqueue('email.send', { do: 'permanent' }))
    for (let n = 0; n < jobs; n++) broker.nc.publish('jobs.count', JSON.stringify({ n }))
    const supervisor = await world.supervise({ MILLRACE_JOB_LOGS: 'auto' })
    await broker.drained(60_000)
    const at = world.ledger.lines().filter((line) => line.handler === 'count')
    const perSecond = (jobs * 2 * 1000) / (at.at(-1)!.atMs - at[0]!.atMs)
    await supervisor.line((line) => line['job_id'] === ids[0] && line.msg === 'job dead-lettered')
    await supervisor.stop()
    if (perSecond < 1500) return flood.skip(`this machine did ${perSecond} jobs a second`)
    const single = supervisor.lines.filter(
      (line) => line.msg === 'job completed' && line['handler'] === 'count',
    )
    assert.ok(single.length < jobs, `${single.length} of ${jobs * 2} jobs were logged one by one`)
  })
})
