import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Engine } from '#src/engine/engine.js'
import { longExplorations, quickExplorations } from './explorations.ts'
import { exploreProtocol, replayProtocol, tellFailure } from './explore.ts'
import { exploreInThread } from './explorer-thread.ts'
import type { ProtocolOptions } from './model-world.ts'

const isLong = process.env['PROTOCOL_MODEL'] === 'long'

for (const [name, options] of Object.entries(isLong ? longExplorations : quickExplorations)) {
  test(name, async (t) => {
    const { failure, isComplete, runs, steps, seconds } = await exploreInThread(options)
    if (failure) assert.fail(tellFailure(failure))
    assert.ok(isComplete)
    t.diagnostic(`${runs} runs, ${steps} steps, ${seconds.toFixed(1)} s`)
  })
}

/** Runs in which the engine once broke a promise, and what happens in them. */
const repeated: Record<string, [options: Partial<ProtocolOptions>, script: readonly string[]]> = {
  'G1: a dead job does not run again when the broker has lost its ack': [
    { supervisors: 2, endings: ['complete', 'fail', 'permanent'] },
    [
      's1: attempt 1 of job 1 ends: permanent',
      'lost: s1: +ACK of delivery 1 of job 1',
      'the broker delivers to s2 (2)',
    ],
  ],
}

for (const [name, [options, script]] of Object.entries(repeated)) {
  test(name, async () => {
    const { violations, trace, unused } = await replayProtocol(options, script)
    assert.deepEqual(violations, [], trace.join('\n'))
    assert.deepEqual(unused, [], 'the run is another one by now; find its choices again')
  })
}

/** Ways to break the engine from outside, and the promise that is seen to suffer. */
const broken: Record<string, [Partial<ProtocolOptions>, tamper: (engine: Engine) => void, RegExp]> = {
  'gives back what it has lost': [
    { kinds: ['freeze'], endings: ['fail'] },
    ({ parts }) => {
      parts.settlement.holdsLease = () => true
    },
    /^G2: job 1 is given back after its lease was lost/,
  ],
  'does not remember what it finished': [
    { kinds: ['drop'], endings: ['complete'] },
    ({ parts }) => {
      parts.finished.has = () => false
      parts.receipts.repeat = () => {}
    },
    /^G/,
  ],
  'acks instead of keeping a dead letter': [
    { faults: 0, endings: ['permanent'] },
    ({ parts }) => {
      parts.settlement.deadLetter = async (job) => parts.settlement.ack(job)
    },
    /^G1: job 1 is acked, and is neither completed nor in the dead-letter stream/,
  ],
}

for (const [name, [options, tamper, expected]] of Object.entries(broken)) {
  test(`an engine that ${name} is found out`, async () => {
    const { failure } = await exploreProtocol({ ...options, tamper })
    assert.match(failure?.violations[0] ?? 'nothing was found', expected)
    const again = await replayProtocol({ ...options, tamper }, failure!.script)
    assert.deepEqual(again.violations, failure!.violations)
  })
}
