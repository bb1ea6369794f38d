import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as immediate } from 'node:timers/promises'
import { waitForOutcome } from '#src/client/wait-for.js'
import { MillraceError } from '#src/core/errors.js'
import type { JobOutcome } from '#src/core/job-outcome.js'
import { until } from '../support/until.ts'

const done: JobOutcome = {
  kind: 'completed',
  jobId: 'a',
  handler: 'b',
  attempts: 1,
  at: new Date(0),
  result: 1,
  error: undefined,
}

/** A bucket that a test fills, and a broker that a test takes away. */
function fakeSource() {
  const listeners = new Set<() => void>()
  const source = {
    looks: 0,
    stored: undefined as JobOutcome | undefined,
    error: undefined as Error | undefined,
    listeners,
    async outcome() {
      source.looks += 1
      if (source.error) throw source.error
      return source.stored
    },
    onOutcome(_jobId: string, callback: () => void) {
      listeners.add(callback)
      return () => listeners.delete(callback)
    },
  }
  return source
}

function wait(source: ReturnType<typeof fakeSource>, timeoutMs = 30_000) {
  const caller = new AbortController()
  const closed = new AbortController()
  const outcome = waitForOutcome(source, 'a', { timeoutMs, signal: caller.signal, closed: closed.signal })
  return { outcome, caller, closed }
}

test('an outcome that is there already is found at the first look', async () => {
  const source = fakeSource()
  source.stored = done
  assert.equal(await wait(source).outcome, done)
  assert.equal(source.looks, 1)
  assert.equal(source.listeners.size, 0)
})

test('a hint makes it look at once, and one that came too early makes it look again', async () => {
  const source = fakeSource()
  const { outcome } = wait(source)
  await until(() => source.looks >= 6, 'it looks seldom by now')
  const before = source.looks
  for (const hint of source.listeners) hint()
  await immediate()
  assert.equal(source.looks, before + 1)
  source.stored = done
  assert.equal(await outcome, done)
})

test('what no hint told of is found all the same, and a look that fails does not end the waiting', async () => {
  const source = fakeSource()
  source.error = new Error('no answer')
  const { outcome } = wait(source)
  await until(() => source.looks >= 2, 'it looks again')
  source.error = undefined
  source.stored = done
  assert.equal(await outcome, done)
})

test('the end of the time says what may be the reason', async () => {
  const source = fakeSource()
  await assert.rejects(wait(source, 30).outcome, { code: 'wait_timeout', message: /lacks `result: true`/ })
  source.error = new Error('no answer')
  await assert.rejects(wait(source, 0).outcome, { code: 'wait_timeout', message: /no answer/ })
  assert.equal(source.listeners.size, 0)
})

test('the caller’s signal and the end of the client end the waiting with their own reasons', async () => {
  const source = fakeSource()
  const first = wait(source)
  await until(() => source.looks > 0, 'it waits')
  first.caller.abort(new Error('not any more'))
  await assert.rejects(first.outcome, /not any more/)
  const second = wait(source)
  second.closed.abort(new MillraceError('client_closed', 'closed'))
  await assert.rejects(second.outcome, { code: 'client_closed' })
  const looks = source.looks
  const late = wait(source)
  late.caller.abort()
  await assert.rejects(late.outcome, { name: 'AbortError' })
  assert.ok(source.looks <= looks + 1)
})
