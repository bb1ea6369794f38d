import assert from 'node:assert/strict'
import { test } from 'node:test'
import { brokerFaults } from './catalogue/broker-faults.ts'
import { playRound } from './round.ts'
import { SingleBroker } from './stage-broker.ts'

test('G1 G2: fifty supervisors that lose their broker at once come back, and lose nothing', async (t) => {
  const { findings, ...counts } = await playRound({
    seed: 1,
    broker: await SingleBroker.start(),
    lanes: [brokerFaults.slice(0, 1)],
    supervisors: 50,
    env: { MILLRACE_THREADS: '1' },
    perSecond: 60,
    mostOpen: 100,
    narrate: (line) => t.diagnostic(line),
  })
  t.diagnostic(JSON.stringify(counts))
  assert.deepEqual(findings, [])
})
