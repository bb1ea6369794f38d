import assert from 'node:assert/strict'
import { utimes, writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import arrive from '#src/handlers/file/arrive.js'
import { testHandler } from '#src/testing/index.js'
import { createFolder } from '../fake-context.ts'

const aMinuteAgo = () => new Date(Date.now() - 60_000)

test('a file that is there and settled completes the job', async (t) => {
  const at = await createFolder(t)
  await writeFile(at('orders.csv'), 'id\n')
  await utimes(at('orders.csv'), aMinuteAgo(), aMinuteAgo())
  const { outcome, logs } = await testHandler(arrive, { path: at('orders.csv') })
  assert.equal(outcome, 'completed')
  assert.deepEqual(logs[0]?.fields, { path: at('orders.csv'), sizeBytes: 3 })
})

test('a missing file, an empty one and one still being written are waited for', async (t) => {
  const at = await createFolder(t)
  await writeFile(at('empty'), '')
  await utimes(at('empty'), aMinuteAgo(), aMinuteAgo())
  await writeFile(at('fresh'), 'id\n')
  for (const name of ['missing', 'empty', 'fresh']) {
    const { verdict } = await testHandler(arrive, { path: at(name) })
    assert.deepEqual(verdict, { kind: 'release', delayMs: 5_000 }, name)
  }
})

test('the last look comes when the wait is over, and then the job is given up', async (t) => {
  const at = await createFolder(t)
  const payload = { path: at('missing'), waitMs: 61_000 }
  const { verdict } = await testHandler(arrive, payload, { enqueuedAt: aMinuteAgo() })
  assert.ok(verdict.kind === 'release' && verdict.delayMs <= 1_000)
  const late = await testHandler(arrive, payload, { enqueuedAt: new Date(Date.now() - 61_000) })
  assert.deepEqual(late.verdict, { kind: 'dead_letter', reason: 'permanent' })
})

test('a path that cannot be looked at is an ordinary failure', async (t) => {
  const at = await createFolder(t)
  await writeFile(at('file'), 'x')
  const { outcome, error } = await testHandler(arrive, { path: at('file/inside') })
  assert.deepEqual([outcome, error?.code], ['failed', 'ENOTDIR'])
})
