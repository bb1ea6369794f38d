import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { runInNewContext } from 'node:vm'
import { collectStartGarbage } from '#src/runtime/start-garbage.js'

const isExposed = () => runInNewContext('typeof gc') === 'function'

test('what nobody refers to any more is collected', async () => {
  const left = new WeakRef({ bytes: new Uint8Array(1_000) })
  // Within the turn in which it is made, the reference keeps it.
  await turn()
  collectStartGarbage()
  assert.equal(left.deref(), undefined)
  assert.equal(isExposed(), false, 'nobody else gets to collect by that')
})

test('who started Node with a flag for it keeps what it gives', (t) => {
  let collections = 0
  Object.assign(globalThis, { gc: () => (collections += 1) })
  t.after(() => Reflect.deleteProperty(globalThis, 'gc'))
  collectStartGarbage()
  assert.equal(collections, 1)
})
