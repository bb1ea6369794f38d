import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defineHandler, PermanentFailure, RetryLater, Snooze } from '#src/index.js'
import { createTestQueue } from '#src/testing/index.js'

const backoff = { kind: 'exponential', baseMs: 1_000, factor: 2, maxMs: 60_000, jitter: 'full' } as const

test('nothing runs before time passes, and then what is due does', async () => {
  const ran: string[] = []
  const queue = createTestQueue({
    handlers: { 'email.send': (payload: { to: string }) => void ran.push(payload.to) },
  })
  const { id, duplicate } = await queue.enqueue('email.send', { to: 'a@b.c' })
  assert.equal(duplicate, false)
  assert.deepEqual([ran, queue.waiting().map((job) => job.id)], [[], [id]])
  await queue.advance(0)
  assert.deepEqual(ran, ['a@b.c'])
  assert.deepEqual(
    queue.completed().map(({ id: jobId, attempts, payload }) => [jobId, attempts, payload]),
    [[id, 1, { to: 'a@b.c' }]],
  )
  assert.deepEqual([queue.waiting(), queue.deadLetters()], [[], []])
})

test('a failing job is attempted again after its backoff, and ends as a dead letter', async () => {
  const at: number[] = []
  const queue = createTestQueue({
    now: new Date('2026-03-01T00:00:00Z'),
    handlers: {
      flaky: defineHandler({
        retry: { maxAttempts: 3, backoff },
        run(_: unknown, ctx) {
          at.push(queue.now.getTime() - Date.UTC(2026, 2, 1))
          ctx.logger.warn({ attempt: ctx.job.attempt }, 'no luck with %s', ctx.job.id)
          throw Object.assign(new Error('away'), { code: 'ECONNREFUSED' })
        },
      }),
    },
  })
  await queue.enqueue('flaky', { n: 1 }, { id: 'job-7', headers: { 'x-tenant': 'acme' } })
  await queue.advance(0)
  await queue.advance(999)
  assert.deepEqual(at, [0])
  await queue.advance(1)
  assert.deepEqual(at, [0, 1_000])
  await queue.drain()
  assert.deepEqual(at, [0, 1_000, 3_000])
  const [letter] = queue.deadLetters('flaky')
  assert.deepEqual(
    {
      ...letter,
      history: letter!.history.map(({ attempt, outcome, error_code }) => [attempt, outcome, error_code]),
    },
    {
      id: 'job-7',
      handler: 'flaky',
      payload: { n: 1 },
      reason: 'exhausted',
      attempts: 3,
      error: { code: 'ECONNREFUSED', message: 'away' },
      history: [1, 2, 3].map((attempt) => [attempt, 'failed', 'ECONNREFUSED']),
      headers: letter!.headers,
      at: new Date('2026-03-01T00:00:03Z'),
    },
  )
  assert.equal(letter!.headers['x-tenant'], 'acme')
  assert.deepEqual(
    queue
      .attempts()
      .map(({ attempt, outcome, error, thrown }) => [
        attempt,
        outcome,
        error?.code,
        (thrown as Error).message,
      ]),
    [1, 2, 3].map((attempt) => [attempt, 'failed', 'ECONNREFUSED', 'away']),
  )
  assert.deepEqual(
    queue.logs().map(({ level, message, fields, jobId }) => [level, message, fields, jobId]),
    [1, 2, 3].map((attempt) => ['warn', 'no luck with job-7', { attempt }, 'job-7']),
  )
})

test('what handlers throw steers as in production, and a schema refuses at once', async () => {
  const schema = {
    '~standard': {
      version: 1 as const,
      vendor: 'test',
      validate: (value: unknown) =>
        typeof value === 'number' ? { value: value * 2 } : { issues: [{ message: 'no number' }] },
    },
  }
  let snoozes = 0
  const queue = createTestQueue({
    handlers: {
      permanent: () => {
        throw new PermanentFailure('never')
      },
      later: (_: unknown, ctx: { job: { attempt: number } }) => {
        if (ctx.job.attempt === 1) throw new RetryLater({ delayMs: 86_400_000 })
        return 'at last'
      },
      snoozes: (_: unknown, ctx: { job: { attempt: number } }) => {
        snoozes += 1
        if (snoozes <= 10) throw new Snooze({ delayMs: 60_000 })
        return ctx.job.attempt
      },
      doubled: defineHandler({ schema, run: (value: number) => value }),
    },
  })
  await queue.enqueue('permanent', undefined)
  await queue.enqueue('later', undefined)
  await queue.enqueue('snoozes', undefined)
  await queue.enqueue('doubled', 21)
  await queue.enqueue('doubled', 'x' as never)
  await queue.drain()
  assert.deepEqual(
    queue.deadLetters().map(({ handler, reason, attempts }) => [handler, reason, attempts]),
    [
      ['permanent', 'permanent', 1],
      ['doubled', 'invalid', 0],
    ],
  )
  assert.deepEqual(
    queue.completed().map(({ handler, attempts, result }) => [handler, attempts, result]),
    [
      ['doubled', 1, 42],
      ['snoozes', 1, 1],
      ['later', 2, 'at last'],
    ],
  )
})

test('an attempt that ignores its signal is timed out, and its neighbour is not touched', async () => {
  const reasons: unknown[] = []
  const queue = createTestQueue({
    patienceMs: 20,
    handlers: {
      hangs: defineHandler({
        deadlineMs: 5_000,
        graceMs: 100,
        retry: { maxAttempts: 2 },
        run: (_: unknown, ctx) => {
          ctx.signal.addEventListener('abort', () =>
            reasons.push([ctx.signal.reason.code, queue.now.getTime()]),
          )
          return new Promise<void>(() => {})
        },
      }),
      heeds: defineHandler({
        pool: 'io',
        deadlineMs: 60_000,
        run: (_: unknown, ctx) =>
          new Promise<string>((resolve) => ctx.signal.addEventListener('abort', () => resolve('in time'))),
      }),
    },
  })
  const start = queue.now.getTime()
  await queue.enqueue('hangs', undefined)
  await queue.enqueue('heeds', undefined)
  await queue.drain()
  assert.deepEqual(
    queue.attempts('hangs').map(({ outcome, error }) => [outcome, error?.code]),
    [
      ['timed_out', 'deadline_exceeded'],
      ['timed_out', 'deadline_exceeded'],
    ],
  )
  assert.deepEqual(reasons[0], ['deadline', start + 5_000])
  assert.deepEqual(
    queue.deadLetters().map(({ reason, attempts }) => [reason, attempts]),
    [['deadline', 2]],
  )
  assert.deepEqual(
    queue.completed().map(({ handler, result }) => [handler, result]),
    [['heeds', 'in time']],
  )
})

test('jobs that are due while nobody has room for them do not keep time from passing', async () => {
  const fails = defineHandler({
    retry: { maxAttempts: 2 },
    run() {
      throw new Error('away')
    },
  })
  const either = defineHandler({
    deadlineMs: 5_000,
    concurrency: 1,
    retry: { maxAttempts: 2 },
    run(hangs: boolean) {
      if (!hangs) throw new Error('away')
      return new Promise<void>(() => {})
    },
  })
  const queue = createTestQueue({ patienceMs: 20, handlers: { either } })
  await queue.enqueue('either', false)
  await queue.enqueue('either', true)
  await queue.drain()
  assert.deepEqual(
    queue.deadLetters().map(({ payload, attempts }) => [payload, attempts]),
    [
      [false, 2],
      [true, 2],
    ],
  )

  const paused = createTestQueue({ handlers: { fails } })
  await paused.enqueue('fails', undefined)
  await paused.advance(0)
  await paused.client.pause('fails')
  await paused.advance(3_600_000)
  assert.deepEqual([paused.attempts().length, paused.deadLetters().length], [1, 0])
  await paused.client.resume('fails')
  await paused.drain()
  assert.equal(paused.deadLetters().length, 1)
})

test('delays, expiry, ids, keys and priorities are those of the enqueue', async () => {
  const order: string[] = []
  const queue = createTestQueue({
    now: new Date('2026-03-01T00:00:00Z'),
    handlers: { note: (text: string) => void order.push(text) },
  })
  await queue.enqueue('note', 'low', { priority: 'low' })
  await queue.enqueue('note', 'normal')
  await queue.enqueue('note', 'high', { priority: 'high' })
  await queue.enqueue('note', 'in a month', { delayMs: 30 * 86_400_000 })
  for (const text of ['first', 'second', 'third']) await queue.enqueue('note', text, { key: 'k' })
  const first = await queue.enqueue('note', 'once', { id: 'one' })
  const again = await queue.enqueue('note', 'once', { id: 'one' })
  assert.deepEqual([again.duplicate, again.sequence], [true, first.sequence])
  assert.equal(queue.enqueued().length, 8)
  await queue.advance(60_000)
  assert.deepEqual(order.slice(0, 1), ['high'])
  assert.deepEqual(
    order.filter((text) => ['first', 'second', 'third'].includes(text)),
    ['first', 'second', 'third'],
  )
  assert.equal(order.filter((text) => text === 'once').length, 1)
  assert.deepEqual(
    queue.waiting().map(({ payload, runAt }) => [payload, runAt]),
    [['in a month', new Date('2026-03-31T00:00:00Z')]],
  )
  await queue.drain()
  assert.equal(order.at(-1), 'in a month')
  assert.equal(queue.now.getTime() - Date.UTC(2026, 2, 31) < 60_000, true)
})

test('the duplicate window and the room of the io pool are those of the settings', async () => {
  let running = 0
  let most = 0
  const waits = defineHandler({
    pool: 'io',
    async run() {
      running += 1
      most = Math.max(most, running)
      for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve))
      running -= 1
    },
  })
  const settings = { duplicateWindowMs: 1_000, ioConcurrency: 2 }
  const queue = createTestQueue({ handlers: { waits }, settings })
  for (let n = 0; n < 5; n += 1) await queue.enqueue('waits', undefined)
  await queue.enqueue('waits', undefined, { id: 'once' })
  await queue.advance(999)
  assert.equal((await queue.enqueue('waits', undefined, { id: 'once' })).duplicate, true)
  await queue.advance(1)
  assert.equal((await queue.enqueue('waits', undefined, { id: 'once' })).duplicate, false)
  await queue.drain()
  assert.deepEqual([queue.completed().length, most], [7, 2])
  for (const asked of [queue.client.ticks(), queue.client.runSchedule('waits')]) {
    await assert.rejects(asked, /the broker in memory has no client\.ticks and client\.runSchedule/)
  }
})

test('a job that has waited for too long expires', async () => {
  const queue = createTestQueue({ handlers: { late: () => {} } })
  await queue.client.pause('late')
  await queue.enqueue('late', undefined, { expiresAt: new Date(queue.now.getTime() + 30_000) })
  await queue.advance(60_000)
  await queue.client.resume('late')
  await queue.drain()
  assert.deepEqual(
    queue.deadLetters().map(({ reason, attempts }) => [reason, attempts]),
    [['expired', 0]],
  )
})

test('handlers may enqueue, pauses and cancels are obeyed, and results can be waited for', async () => {
  const queue = createTestQueue({
    handlers: {
      parent: (count: number) =>
        Promise.all(Array.from({ length: count }, (_, at) => queue.client.enqueue('child', at))).then(
          () => undefined,
        ),
      child: defineHandler({ result: true, run: (at: number) => ({ at }) }),
      paused: () => {},
    },
  })
  await queue.enqueue('parent', 3)
  await queue.enqueue('paused', undefined, { id: 'held' })
  await queue.client.pause('paused')
  const { id } = await queue.enqueue('child', 9, { delayMs: 1_000 })
  const cancelled = await queue.enqueue('child', 10, { delayMs: 1_000 })
  await queue.client.cancel(cancelled.id)
  await queue.client.enqueue('nobody' as never, undefined as never)
  const waited = queue.client.waitFor(id, { handler: 'child' })
  await queue.drain()
  const outcome = await waited
  assert.deepEqual(outcome.kind === 'completed' && outcome.result, { at: 9 })
  assert.deepEqual(
    queue.completed('child').map(({ result }) => result),
    [{ at: 0 }, { at: 1 }, { at: 2 }, { at: 9 }],
  )
  assert.deepEqual(
    queue.deadLetters().map(({ id: jobId, reason }) => [jobId, reason]),
    [[cancelled.id, 'cancelled']],
  )
  assert.deepEqual(
    queue.waiting().map(({ handler }) => handler),
    ['paused', 'nobody'],
  )
  await queue.client.resume('paused')
  await queue.drain()
  assert.deepEqual(
    queue.waiting().map(({ handler }) => handler),
    ['nobody'],
  )
})

test('a real wait of a handler is waited for, and takes no time of the queue', async () => {
  const queue = createTestQueue({
    handlers: { slow: () => new Promise<string>((resolve) => setTimeout(resolve, 30, 'done')) },
  })
  const before = queue.now.getTime()
  await queue.enqueue('slow', undefined)
  await queue.advance(0)
  assert.equal(queue.now.getTime(), before)
  assert.deepEqual(
    queue.completed().map(({ result }) => result),
    ['done'],
  )
})

test('schedules publish when they are asked to, and a limit over the fleet holds', async () => {
  const ticks: (string | undefined)[] = []
  const starts: number[] = []
  const handlers = {
    hourly: defineHandler({
      schedule: { cron: '0 * * * *', timeZone: 'UTC' },
      run: (_: unknown, ctx) => void ticks.push(ctx.tick?.toISOString()),
    }),
    limited: defineHandler({
      rateLimit: { jobs: 2, perMs: 60_000 },
      run: () => void starts.push(queue.now.getTime()),
    }),
  }
  const queue = createTestQueue({ handlers, schedules: true, now: new Date('2026-03-01T00:30:00Z') })
  for (let count = 0; count < 5; count += 1) await queue.enqueue('limited', undefined)
  await queue.advance(2 * 3_600_000)
  assert.deepEqual(ticks, ['2026-03-01T01:00:00.000Z', '2026-03-01T02:00:00.000Z'])
  assert.equal(starts.length, 5)
  assert.equal(starts[4]! - starts[0]! >= 120_000, true)
  const still = createTestQueue({ handlers, now: new Date('2026-03-01T00:30:00Z') })
  await still.advance(3_600_000)
  assert.deepEqual(still.enqueued(), [])
})

test('a supervisor that dies leaves its jobs to the next, and the attempt counts', async () => {
  const steps: string[] = []
  const queue = createTestQueue({
    settings: { maxAttempts: 3, ackWaitMs: 30_000 },
    handlers: {
      charge: async (_: unknown, ctx: { job: { attempt: number; redelivered: boolean } }) => {
        steps.push(`charge ${ctx.job.attempt} ${ctx.job.redelivered}`)
        if (ctx.job.attempt === 1) await queue.crash()
        steps.push(`mail ${ctx.job.attempt}`)
      },
      beside: (_: unknown) => void steps.push('beside'),
      deadly: async () => {
        await new Promise((resolve) => setTimeout(resolve, 5))
        await queue.crash()
      },
    },
  })
  const start = queue.now.getTime()
  const { id } = await queue.enqueue('charge', undefined)
  await queue.drain()
  assert.deepEqual(steps, ['charge 1 false', 'charge 2 true', 'mail 2'])
  assert.equal(queue.completed()[0]?.attempts, 2)
  assert.equal(queue.completed()[0]!.at.getTime() - start >= 30_000, true)
  assert.deepEqual(
    queue.attempts().map(({ jobId, attempt }) => [jobId, attempt]),
    [[id, 2]],
  )
  await queue.crash()
  await queue.enqueue('beside', undefined, { priority: 'high', key: 'k' })
  await queue.drain()
  assert.equal(steps.at(-1), 'beside')

  await queue.enqueue('deadly', undefined)
  await queue.drain()
  assert.deepEqual(
    queue.deadLetters().map(({ reason, attempts, error }) => [reason, attempts, error?.code]),
    [['crashed', 3, 'process_crash']],
  )
})

test('a drain without an end says so, and wrong definitions and settings are refused', async () => {
  const queue = createTestQueue({
    handlers: {
      again: () => {
        throw new Snooze({ delayMs: 1_000 })
      },
    },
  })
  await queue.enqueue('again', undefined)
  await assert.rejects(queue.drain({ limitMs: 10_000 }), { code: 'drain_unfinished' })
  await assert.rejects(queue.drain({ attempts: 5 }), { code: 'drain_unfinished', message: /5 attempts/ })
  await assert.rejects(queue.advance(-1), RangeError)
  const first = queue.advance(0)
  await assert.rejects(queue.advance(0), { code: 'drain_unfinished' })
  await first
  assert.throws(() => createTestQueue({ handlers: { a: { deadline: 5 } as never } }), {
    code: 'invalid_definition',
  })
  assert.throws(() => createTestQueue({ handlers: { 'a b': () => {} } }), { code: 'invalid_definition' })
  assert.throws(() => createTestQueue({ settings: { maxAttempts: 0 } }), { code: 'invalid_settings' })
  assert.throws(() => queue.client.deadLetters, { code: 'broker_request_failed', message: /startTestBroker/ })
})
