import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Fault } from './fault.ts'
import { playRound } from './round.ts'
import { SingleBroker, type StageBroker } from './stage-broker.ts'

/** The same faults in the same order with the same jobs, unless somebody asks for others. */
const seed = Number(process.env['FAULT_SEED'] ?? 1)
/** Only faults whose name matches. */
const only = process.env['FAULT_ONLY']

/** A test of each fault of a family by itself, one after the other under one load. */
export function testFaults(
  name: string,
  all: readonly Fault[],
  start: (t: TestContext) => Promise<StageBroker | string> = () => SingleBroker.start(),
): void {
  const faults = all.filter((fault) => only === undefined || new RegExp(only).test(fault.name))
  if (faults.length === 0) return
  test(name, async (t) => {
    const broker = await start(t)
    if (typeof broker === 'string') return t.skip(broker)
    const report = await playRound({
      seed,
      broker,
      lanes: [faults],
      supervisors: 2,
      perSecond: 30,
      mostOpen: 100,
      narrate: (line) => t.diagnostic(line),
    })
    const { findings, ...counts } = report
    t.diagnostic(JSON.stringify({ ...counts, duplicates: Object.fromEntries(report.duplicates) }))
    assert.deepEqual(findings, [], `FAULT_SEED=${seed}`)
  })
}
