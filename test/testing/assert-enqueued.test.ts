import assert, { AssertionError } from 'node:assert/strict'
import { test } from 'node:test'
import { assertEnqueued, assertNotEnqueued, createTestQueue } from '#src/testing/index.js'

test('jobs are found by the parts that matter', async () => {
  const queue = createTestQueue({ now: new Date('2026-03-01T00:00:00Z') })
  const { client } = queue
  await client.enqueueMany([
    { handler: 'email.send', payload: { to: 'a@b.c', lines: [{ text: 'hi', size: 1 }] }, key: 'a' },
    { handler: 'email.send', payload: { to: 'd@e.f', lines: [] }, id: 'second', delayMs: 60_000 },
    { handler: 'report.build', payload: null, priority: 'high', headers: { 'X-Tenant': 'acme' } },
  ])
  const [first] = assertEnqueued(queue, 'email.send', { payload: { lines: [{ text: 'hi' }] }, key: 'a' })
  assert.deepEqual(first?.payload, { to: 'a@b.c', lines: [{ text: 'hi', size: 1 }] })
  assert.equal(assertEnqueued(queue, 'email.send').length, 2)
  assert.equal(assertEnqueued(queue, 'email.send', { count: 2 }).length, 2)
  assertEnqueued(queue, 'email.send', { id: 'second', runAt: new Date('2026-03-01T00:01:00Z') })
  assertEnqueued(queue, 'report.build', { priority: 'high', payload: null, headers: { 'x-tenant': 'acme' } })
  assertNotEnqueued(queue, 'email.send', { payload: { to: 'x@y.z' } })
  assertNotEnqueued(queue, 'email.send', { payload: { lines: [{}, {}] } })
  assertNotEnqueued(queue, 'report.build', { priority: 'normal' })

  const message = (run: () => unknown): string => {
    try {
      run()
    } catch (error) {
      assert.ok(error instanceof AssertionError)
      return error.message
    }
    return 'nothing was thrown'
  }
  assert.equal(
    message(() => assertEnqueued(queue, 'email.send', { payload: { to: 'x@y.z' } })).replace(
      /id [0-9a-f-]{36}/g,
      'id …',
    ),
    `a job of email.send with {"payload":{"to":"x@y.z"}} should have been enqueued, there were none; enqueued were:
  email.send {"to":"a@b.c","lines":[{"text":"hi","size":1}]} (id …, key a)
  email.send {"to":"d@e.f","lines":[]} (id second, not before 2026-03-01T00:01:00.000Z)
  report.build null (id …, priority high)`,
  )
  assert.match(
    message(() => assertEnqueued(queue, 'email.send', { count: 1 })),
    /^1 job of email\.send should have been enqueued, there were 2; enqueued were:\n/,
  )
  assert.match(
    message(() => assertNotEnqueued(queue, 'report.build')),
    /^no job of report\.build should .* there were 1;/,
  )
  assert.match(
    message(() => assertEnqueued(createTestQueue(), 'a')),
    /none; nothing was enqueued$/,
  )
})
