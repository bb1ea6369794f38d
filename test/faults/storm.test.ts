import assert from 'node:assert/strict'
import { test } from 'node:test'
import { playStorm } from './storm.ts'

// Fifty are in the long run: starting them takes a small machine a minute.
test('G1 G2: a fleet that loses its broker at once comes back, and loses nothing', async (t) => {
  const { findings } = await playStorm(6, (line) => t.diagnostic(line))
  assert.deepEqual(findings, [])
})
