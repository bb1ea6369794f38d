import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Worker } from 'node:worker_threads'
import { askThread } from '#src/threads/thread-inspector.js'

test('an answer does nothing in the middle of what the asking thread runs', async (t) => {
  const worker = new Worker('setInterval(() => {}, 1000)', { eval: true })
  t.after(() => worker.terminate())
  await once(worker, 'online')
  assert.deepEqual(await askThread(worker.threadId, '6 * 7', 5_000), { kind: 'value', value: 42 })
  let isBusy = false
  let interrupted = 0
  const { clearTimeout: clear } = globalThis
  t.mock.method(globalThis, 'clearTimeout', (timer: NodeJS.Timeout) => {
    if (isBusy) interrupted += 1
    clear(timer)
  })
  for (let times = 0; times < 5; times += 1) {
    const asked = askThread(worker.threadId, '6 * 7', 5_000)
    await wait(0)
    isBusy = true
    const until = performance.now() + 50
    while (performance.now() < until) JSON.stringify(times)
    isBusy = false
    assert.deepEqual(await asked, { kind: 'value', value: 42 })
  }
  assert.equal(interrupted, 0)
})

test('asking a thread while others start and end does not crash the process', async () => {
  const program = fileURLToPath(new URL('../fixtures/threads/ask-as-threads-end.js', import.meta.url))
  const run = () => promisify(execFile)(process.execPath, [program], { timeout: 120_000 })
  // The race that is left, which ends one in some thirty of these; see `askThread`.
  const { stdout } = await run().catch((error: { signal?: string }) => {
    if (error.signal !== 'SIGABRT') throw error
    return run()
  })
  assert.ok(Number(stdout) > 0, stdout)
})
