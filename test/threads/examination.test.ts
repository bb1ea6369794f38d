import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { examineThread, type Finding } from '#src/threads/examination.js'

const secret = 'canary_4711'
const source = readFileSync('test/fixtures/threads/stuck-thread.ts', 'utf8').split('\n')

/** A thread that is stuck in that way. */
async function stuckThread(t: TestContext, how: string): Promise<Worker> {
  const entry = new URL('../fixtures/threads/stuck-thread.js', import.meta.url)
  const worker = new Worker(entry, { workerData: { how, secret } })
  t.after(() => worker.terminate())
  worker.postMessage('begin')
  await once(worker, 'message')
  return worker
}

/** Asks until the thread has come to where it stays. */
async function find(worker: Worker, isThere: (finding: Finding) => boolean): Promise<Finding> {
  for (let tries = 0; ; tries += 1) {
    const finding = await examineThread(worker.threadId, 10_000)
    if (isThere(finding) || tries === 100) return finding
  }
}

function stackOf(finding: Finding): readonly string[] {
  return finding.kind === 'found' ? finding.stack : []
}

function lineOf(text: string): number {
  return source.findIndex((line) => line.includes(text)) + 1
}

test('a thread that runs code tells the functions, and where they are in the source', async (t) => {
  const worker = await stuckThread(t, 'nested')
  const finding = await find(worker, (found) => stackOf(found)[0]?.startsWith('spinForEver') ?? false)
  assert.equal(finding.kind, 'found')
  assert.deepEqual([finding.slot, finding.ticket], [3, 7])
  const [innermost, , caller, outermost] = stackOf(finding)
  const file = 'test/fixtures/threads/stuck-thread.ts'
  assert.match(innermost!, new RegExp(`^spinForEver \\(${file}:${lineOf('while (true) running')}:\\d+\\)$`))
  assert.match(caller!, new RegExp(`^callBack \\(${file}:${lineOf('callback()')}:\\d+\\)$`))
  assert.match(outermost!, new RegExp(`\\(${file}:${lineOf('nested:')}:\\d+\\)$`))
})

test('code that leaves V8 little room to be interrupted tells where it is, too', async (t) => {
  const expected = {
    regex: [/^test \(native\)$/, new RegExp(`:${lineOf('regex:')}:`)],
    'atomics-wait': [/^wait \(native\)$/, new RegExp(`:${lineOf("'atomics-wait':")}:`)],
  }
  for (const [how, [first, second]] of Object.entries(expected)) {
    const worker = await stuckThread(t, how)
    const stack = stackOf(await find(worker, (found) => first!.test(stackOf(found)[0] ?? '')))
    assert.match(stack[0]!, first!)
    assert.match(stack[1]!, second!)
    await worker.terminate()
  }
  const worker = await stuckThread(t, 'microtask-loop')
  assert.notDeepEqual(stackOf(await find(worker, (found) => stackOf(found).length > 0)), [])
})

test('a thread that waits tells what for', async (t) => {
  const expected = { promise: {}, timer: { Timeout: 1 }, server: { TCPServerWrap: 1 } }
  for (const [how, resources] of Object.entries(expected)) {
    const worker = await stuckThread(t, how)
    const finding = await find(
      worker,
      (found) =>
        found.kind === 'found' &&
        found.stack.length === 0 &&
        Object.keys(found.resources).join() === Object.keys(resources).join(),
    )
    assert.deepEqual(finding, { kind: 'found', slot: 3, ticket: 7, stack: [], resources })
    await worker.terminate()
  }
})

test('a thread in native code does not answer, and ends as it would have', async (t) => {
  const worker = await stuckThread(t, 'native')
  const exited = once(worker, 'exit')
  // It is asked in vain at most so often as it takes to be there.
  let finding: Finding = { kind: 'unknown' }
  while (finding.kind !== 'native') finding = await examineThread(worker.threadId, 300)
  void worker.terminate()
  await exited
})

test('threads that are asked all at once answer all, and one that ends meanwhile is unknown', async (t) => {
  const workers = await Promise.all(
    ['loop', 'loop', 'timer', 'native', 'native'].map((how) => stuckThread(t, how)),
  )
  const gone = workers.pop()!
  const findings = Promise.all([...workers, gone].map(({ threadId }) => examineThread(threadId, 10_000)))
  // Whether its native call returns before it is gone is a race; that somebody waits for it is not.
  await gone.terminate()
  const kinds = (await findings).map(({ kind }) => kind)
  assert.deepEqual(kinds.slice(0, 3), ['found', 'found', 'found'])
  assert.deepEqual(await examineThread(gone.threadId, 10_000), { kind: 'unknown' })
  // It still ends: nothing was left attached.
  assert.equal(await workers[0]!.terminate(), 1)
})

test('G10: neither computed names, nor code from strings, nor addresses of imports are told', async (t) => {
  const places: Record<string, RegExp> = {
    'secret-name': /spinForEver \(/,
    'secret-code': /spinForEver \(.*\(eval\)/,
    'secret-address': /^\(eval\)/,
    'secret-file': /^\(eval\)/,
    'secret-query': /spin-module\.ts:4:/,
    hostile: /spinForEver \(/,
  }
  for (const [how, place] of Object.entries(places)) {
    const worker = await stuckThread(t, how)
    const finding = await find(worker, (found) => place.test(stackOf(found).join()))
    assert.match(stackOf(finding).join(), place)
    assert.ok(!JSON.stringify(finding).includes(secret), `${how}: ${JSON.stringify(finding)}`)
    await worker.terminate()
  }
})
