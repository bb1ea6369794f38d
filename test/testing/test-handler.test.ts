import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defineHandler, PermanentFailure, Snooze } from '#src/index.js'
import { testHandler } from '#src/testing/index.js'

const positive = {
  '~standard': {
    version: 1 as const,
    vendor: 'test',
    validate: (value: unknown) =>
      typeof value === 'number' && value > 0 ? { value } : { issues: [{ message: 'not positive' }] },
  },
}

test('a handler gets its payload as from the wire, and its job, and the report has what it did', async () => {
  const seen: unknown[] = []
  const handler = defineHandler({
    run(payload: { at: string; extra?: undefined }, ctx) {
      seen.push(
        payload,
        ctx.job.headers,
        ctx.tick,
        ctx.deadlineAt.getTime() - ctx.job.enqueuedAt.getTime() > 8_000,
      )
      ctx.logger.child({ part: 1 }).info({ n: 2 }, 'half of %d', 4)
      ctx.logger.error(new Error('just told'))
      ctx.progress({ done: 0.5 })
      return { id: ctx.job.id, attempt: ctx.job.attempt, name: ctx.job.handler, of: ctx.job.maxAttempts }
    },
    deadlineMs: 9_000,
  })
  const tick = new Date('2026-03-01T00:00:00Z')
  const report = await testHandler(
    handler,
    { at: tick as never, extra: undefined },
    { id: 'j', handler: 'clock.strike', attempt: 2, headers: { 'X-Tenant': 'acme' }, tick },
  )
  assert.deepEqual(seen, [
    { at: '2026-03-01T00:00:00.000Z' },
    { 'x-tenant': 'acme', 'millrace-tick': '2026-03-01T00:00:00.000Z' },
    tick,
    true,
  ])
  assert.deepEqual(
    [report.outcome, report.result, report.error, report.verdict],
    ['completed', { id: 'j', attempt: 2, name: 'clock.strike', of: 5 }, undefined, { kind: 'ack' }],
  )
  assert.deepEqual(report.progress, [{ done: 0.5 }])
  assert.deepEqual(report.logs[0], { level: 'info', message: 'half of 4', fields: { part: 1, n: 2 } })
  assert.equal((report.logs[1]!.fields['err'] as Error).message, 'just told')
})

test('what a handler throws is reported with what Millrace would do', async () => {
  const failing = defineHandler({
    retry: { maxAttempts: 2, backoff: { baseMs: 700 } },
    run(how: string) {
      if (how === 'permanent') throw new PermanentFailure('gone')
      if (how === 'snooze') throw new Snooze({ delayMs: 5 })
      throw new TypeError('odd')
    },
  })
  const failed = await testHandler(failing, 'any')
  assert.ok(failed.thrown instanceof TypeError)
  assert.deepEqual(
    [failed.outcome, failed.error?.code, failed.error?.message, failed.verdict],
    ['failed', 'handler_error', 'odd', { kind: 'retry', delayMs: 700 }],
  )
  const last = await testHandler(failing, 'any', { attempt: 2 })
  assert.deepEqual(last.verdict, { kind: 'dead_letter', reason: 'exhausted' })
  const permanent = await testHandler(failing, 'permanent')
  assert.deepEqual(permanent.verdict, { kind: 'dead_letter', reason: 'permanent' })
  const snoozed = await testHandler(failing, 'snooze')
  assert.deepEqual([snoozed.outcome, snoozed.verdict], ['snoozed', { kind: 'release', delayMs: 5 }])
})

test('a payload that the schema refuses never reaches the handler, and what no job can be is thrown', async () => {
  let runs = 0
  const handler = defineHandler({
    schema: positive,
    run() {
      runs += 1
    },
  })
  const refused = await testHandler(handler, -1)
  assert.deepEqual(
    [refused.outcome, refused.error?.code, refused.verdict, runs],
    ['invalid', 'invalid_payload', { kind: 'dead_letter', reason: 'invalid' }, 0],
  )
  assert.equal((await testHandler({ default: handler }, 1)).outcome, 'completed')
  const bytes = await testHandler((payload: Uint8Array) => payload.length, Uint8Array.of(1, 2, 3))
  assert.equal(bytes.result, 3)
  assert.throws(() => testHandler((_: bigint) => {}, 1n), { code: 'invalid_job' })
  assert.throws(() => testHandler({ run: 1 } as never, undefined as never), { code: 'invalid_definition' })
})

test('a signal that is aborted ends an attempt by what the handler makes of it', async () => {
  const until = defineHandler({
    run: (how: 'return' | 'throw' | 'ignore', ctx) =>
      new Promise<string>((resolve, reject) => {
        ctx.signal.addEventListener('abort', () => {
          if (how === 'return') resolve(ctx.signal.reason.code)
          if (how === 'throw') reject(ctx.signal.reason)
        })
      }),
  })
  const stopped = testHandler(until, 'return')
  stopped.abort('shutdown')
  assert.deepEqual([(await stopped).outcome, (await stopped).result], ['completed', 'shutdown'])
  const thrown = testHandler(until, 'throw')
  thrown.abort('shutdown')
  assert.deepEqual(
    [(await thrown).outcome, (await thrown).verdict],
    ['interrupted', { kind: 'release', delayMs: 0 }],
  )
  const cancelled = testHandler(until, 'throw')
  cancelled.abort('cancelled')
  assert.equal((await cancelled).outcome, 'cancelled')
  const late = await testHandler(until, 'throw', { deadlineMs: 10 })
  assert.deepEqual([late.outcome, late.error?.code], ['timed_out', 'deadline_exceeded'])
  const deaf = await testHandler(until, 'ignore', { deadlineMs: 10, graceMs: 10 })
  assert.equal(deaf.outcome, 'timed_out')
  assert.equal(deaf.verdict.kind, 'retry')
})
