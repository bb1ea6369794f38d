import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { collectStartGarbage } from '#src/runtime/start-garbage.js'

test('what nobody refers to any more is collected', async () => {
  const left = new WeakRef({ bytes: new Uint8Array(1_000) })
  // Within the turn in which it is made, the reference keeps it.
  await turn()
  collectStartGarbage()
  assert.equal(left.deref(), undefined)
  assert.equal('gc' in globalThis, false)
})
