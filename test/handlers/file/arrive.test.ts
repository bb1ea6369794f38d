import assert from 'node:assert/strict'
import { utimes, writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import arrive from '#src/handlers/file/arrive.js'
import { attempt, createContext, createFolder } from '../fake-context.ts'

const aMinuteAgo = () => new Date(Date.now() - 60_000)

test('a file that is there and settled completes the job', async (t) => {
  const at = await createFolder(t)
  await writeFile(at('orders.csv'), 'id\n')
  await utimes(at('orders.csv'), aMinuteAgo(), aMinuteAgo())
  const context = createContext()
  await attempt(arrive, { path: at('orders.csv') }, context)
  assert.deepEqual(context.lines[0]?.fields, { path: at('orders.csv'), sizeBytes: 3 })
})

test('a missing file, an empty one and one still being written are waited for', async (t) => {
  const at = await createFolder(t)
  await writeFile(at('empty'), '')
  await utimes(at('empty'), aMinuteAgo(), aMinuteAgo())
  await writeFile(at('fresh'), 'id\n')
  for (const name of ['missing', 'empty', 'fresh']) {
    await assert.rejects(
      attempt(arrive, { path: at(name) }, createContext()),
      { code: 'snooze', delayMs: 5_000 },
      name,
    )
  }
})

test('the last look comes when the wait is over, and then the job is given up', async (t) => {
  const at = await createFolder(t)
  const payload = { path: at('missing'), waitMs: 61_000 }
  await assert.rejects(attempt(arrive, payload, createContext({ enqueuedAt: aMinuteAgo() })), (error) => {
    const { code, delayMs } = error as { code: string; delayMs: number }
    return code === 'snooze' && delayMs <= 1_000
  })
  const late = createContext({ enqueuedAt: new Date(Date.now() - 61_000) })
  await assert.rejects(attempt(arrive, payload, late), { code: 'permanent_failure' })
})

test('a path that cannot be looked at is an ordinary failure', async (t) => {
  const at = await createFolder(t)
  await writeFile(at('file'), 'x')
  await assert.rejects(attempt(arrive, { path: at('file/inside') }, createContext()), { code: 'ENOTDIR' })
})
