import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { InFlightJob } from '#src/engine/in-flight-job.js'
import { JobTable } from '#src/engine/job-table.js'
import { heldJob } from '../support/fake-engine-parts.ts'

test('jobs that meet in a slot are found, and leave each other alone', () => {
  const table = new JobTable(4)
  const [one, five, nine] = [heldJob(1), heldJob(5), heldJob(9)]
  for (const job of [one, five, nine]) assert.equal(table.add(job), true)
  assert.deepEqual([table.find(1), table.find(5), table.find(9)], [one, five, nine])
  assert.equal(table.remove(one), true)
  assert.equal(table.remove(one), false)
  assert.deepEqual([table.find(1), table.find(5), table.find(9)], [undefined, five, nine])
  const again = heldJob(5)
  assert.equal(table.add(again), false, 'it takes the place of the other, although the slot is free now')
  assert.deepEqual([...table.all()], [again, nine])
})

test('it does what a map does, however the sequences meet', () => {
  // Few slots, small sequences and some beyond 32 bits.
  const sequence = fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constantFrom(2 ** 32 + 1, 2 ** 40 + 5))
  const step = fc.record({ adds: fc.boolean(), sequence })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const table = new JobTable(4)
      const map = new Map<number, InFlightJob>()
      const old: InFlightJob[] = []
      for (const { adds, sequence: at } of steps) {
        const held = map.get(at)
        assert.equal(table.find(at), held)
        if (adds) {
          const job = heldJob(at)
          assert.equal(table.add(job), held === undefined)
          map.set(at, job)
          if (held) old.push(held)
        } else if (held) {
          assert.equal(table.remove(held), true)
          map.delete(at)
          old.push(held)
        }
      }
      for (const job of old) assert.equal(table.remove(job), false)
      const bySequence = (a: InFlightJob, b: InFlightJob): number => a.sequence - b.sequence
      assert.deepEqual([...table.all()].sort(bySequence), [...map.values()].sort(bySequence))
    }),
  )
})
