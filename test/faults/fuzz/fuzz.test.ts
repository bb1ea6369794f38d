import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runFuzz } from './run-fuzz.ts'

/** `npm run test:faults` sends a million. */
const messages = 2_000

test('G1, G10: malformed messages all end as they must, crash nothing, and show up nowhere', async (t) => {
  const report = await runFuzz({ seed: 20_261_125, messages, narrate: (line) => t.diagnostic(line) })
  assert.deepEqual(report.findings, [], `seed ${report.seed}`)
  const sum = (...kinds: string[]): number =>
    kinds.reduce((total, kind) => total + (report.counts[kind] ?? 0), 0)
  const dead = Object.keys(report.counts).filter((kind) => kind.startsWith('dead '))
  const ends = ['completed', 'unclaimed', 'waits for its time', 'stays where it is', 'duplicate']
  const refused = ['refused by the server', 'no stream takes it']
  assert.equal(sum(...ends, ...refused, ...dead), messages, JSON.stringify(report.counts))
  for (const kind of [
    ...ends,
    ...refused,
    'dead invalid',
    'dead expired',
    'dead exhausted',
    'dead permanent',
  ]) {
    assert.ok(sum(kind) > 0, `no message is ${kind}`)
  }
})
