import assert from 'node:assert/strict'
import { test } from 'node:test'
import { measureInterruptedReplay, type ReplayLoss } from '../faults/bounds/interrupted-replay.ts'

const deadLetters = 300

function isWhole({ lost, doubled }: ReplayLoss): void {
  assert.deepEqual({ lost, doubled }, { lost: 0, doubled: 0 })
}

test('two replays at once that are killed over and over lose no job and double none', async () => {
  const loss = await measureInterruptedReplay({ deadLetters, kills: 4, operators: 2, seed: 2 })
  isWhole(loss)
  assert.ok(loss.kills > 0)
})

test('a replay whose broker is killed loses no job and doubles none', async () => {
  // One supervisor: of two, the other may run again what an ack lost with the broker has completed (G2).
  isWhole(await measureInterruptedReplay({ deadLetters, kills: 1, brokerKills: 2, supervisors: 1, seed: 3 }))
})
