import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { runInNewContext } from 'node:vm'
import { collectStartGarbage } from '#src/runtime/start-garbage.js'
import { eventually } from '../support/eventually.ts'
import { startTestServer } from '../support/nats-server.ts'
import { Supervisor } from '../support/supervisor.ts'
import { soundHandlers } from '../support/world.ts'

const isExposed = () => runInNewContext('typeof gc') === 'function'

test('what nobody refers to any more is collected', async () => {
  const left = new WeakRef({ bytes: new Uint8Array(1_000) })
  // Within the turn in which it is made, the reference keeps it.
  await turn()
  collectStartGarbage()
  assert.equal(left.deref(), undefined)
  assert.equal(isExposed(), false, 'nobody else gets to collect by that')
})

test('a supervisor that has had no job collects soon after its start', async (t) => {
  const { url } = await startTestServer(t)
  // Stands in for V8's own, in the same place as with `node --expose-gc`.
  const preload =
    'data:text/javascript,import{isMainThread}from%27node:worker_threads%27;if(isMainThread)globalThis.gc=()=>console.log(%27collected%27)'
  const supervisor = new Supervisor({
    NATS_URL: url,
    MILLRACE_HANDLERS: soundHandlers,
    MILLRACE_HTTP_PORT: '0',
    NODE_OPTIONS: `--import=${preload}`,
  })
  t.after(() => supervisor.kill())
  await eventually('it collects', () => supervisor.stdout.includes('collected\n'))
  assert.equal((await supervisor.stop()).code, 0)
})

test('who started Node with a flag for it keeps what it gives', (t) => {
  let collections = 0
  Object.assign(globalThis, { gc: () => (collections += 1) })
  t.after(() => Reflect.deleteProperty(globalThis, 'gc'))
  collectStartGarbage()
  assert.equal(collections, 1)
})
