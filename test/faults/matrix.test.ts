import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accessFaults } from './catalogue/access-faults.ts'
import { brokerFaults } from './catalogue/broker-faults.ts'
import { clockFaults } from './catalogue/clock-faults.ts'
import { jobFaults } from './catalogue/job-faults.ts'
import { networkFaults } from './catalogue/network-faults.ts'
import { supervisorFaults } from './catalogue/supervisor-faults.ts'
import { topologyFaults } from './catalogue/topology-faults.ts'
import { playRound } from './round.ts'

const families = {
  supervisorFaults,
  jobFaults,
  brokerFaults,
  networkFaults,
  topologyFaults,
  accessFaults,
  clockFaults,
}
const seed = Number(process.env['FAULT_SEED'] ?? 1)
const only = process.env['FAULT_ONLY']

for (const [name, all] of Object.entries(families)) {
  const faults = all.filter((fault) => only === undefined || new RegExp(only).test(`${name} ${fault.name}`))
  if (faults.length === 0) continue
  test(`nothing is lost: ${name}`, async (t) => {
    const judgement = await playRound({
      seed,
      faults,
      jobsPerSecond: 80,
      supervisors: 3,
      narrate: (line) => t.diagnostic(line),
    })
    t.diagnostic(
      JSON.stringify({
        ...judgement,
        findings: judgement.findings.length,
        duplicates: [...judgement.duplicates],
      }),
    )
    assert.deepEqual(judgement.findings, [], `seed ${seed}`)
  })
}
