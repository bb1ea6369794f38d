import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { monotonicMs } from '#src/threads/monotonic.js'

test('all threads of a process share one clock', async () => {
  const module = new URL('../../../dist/threads/monotonic.js', import.meta.url).href
  const before = monotonicMs()
  const worker = new Worker(
    `import(${JSON.stringify(module)}).then(({ monotonicMs }) => require('node:worker_threads').parentPort.postMessage(monotonicMs()))`,
    { eval: true },
  )
  const theirs = await new Promise<number>((resolve) => worker.once('message', resolve))
  const after = monotonicMs()
  await worker.terminate()
  assert.ok(before - 1 <= theirs && theirs <= after + 1, `${before} <= ${theirs} <= ${after}`)
})

test('it never steps back', () => {
  let last = monotonicMs()
  for (let index = 0; index < 10_000; index += 1) {
    const now = monotonicMs()
    assert.ok(now >= last)
    last = now
  }
})
