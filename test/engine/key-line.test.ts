import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isBefore, KeyLine } from '#src/engine/key-line.js'
import { heldJob } from '../support/fake-engine-parts.ts'

test('whoever joins a line stands in order of publication, whenever it came', () => {
  const line = new KeyLine()
  for (const sequence of [5, 2, 9, 3]) line.add(heldJob(sequence))
  assert.deepEqual(
    line.waiting.map((job) => job.sequence),
    [2, 3, 5, 9],
  )
})

test('more urgent streams come first, whatever their sequences', () => {
  const [high, normal, low] = ['JOBS_HIGH', 'JOBS', 'JOBS_LOW'].map((stream, n) => heldJob(9 - n, { stream }))
  assert.ok(isBefore(high!, normal!) && isBefore(normal!, low!) && isBefore(high!, low!))
  assert.ok(!isBefore(low!, high!) && !isBefore(normal!, high!))
})

test('a job leaves its line from any place', () => {
  const line = new KeyLine()
  const [one, two] = [heldJob(1), heldJob(2)]
  assert.ok(line.isEmpty)
  line.active = one
  line.add(two)
  line.remove(one)
  assert.equal(line.active, undefined)
  assert.ok(!line.isEmpty)
  line.remove(two)
  line.remove(two)
  assert.ok(line.isEmpty)
})
