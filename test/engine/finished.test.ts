import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Finished } from '#src/engine/finished.js'

const storedAt = Date.UTC(2026, 0, 1)

test('a finished job is remembered and its neighbours are not', () => {
  const finished = new Finished()
  finished.add('JOBS', 7, storedAt)
  assert.ok(finished.has('JOBS', 7, storedAt))
  for (const other of [6, 8, 7 + 2 ** 17, 7 + 2 ** 31])
    assert.ok(!finished.has('JOBS', other, storedAt), `${other}`)
})

test('the same place in a stream that was made anew is another job', () => {
  const finished = new Finished()
  finished.add('JOBS', 7, storedAt)
  assert.ok(!finished.has('JOBS', 7, storedAt + 1))
})

test('the last 131072 jobs of a dense stream are all remembered', () => {
  const finished = new Finished()
  const last = 300_000
  for (let sequence = 1; sequence <= last; sequence += 1) finished.add('JOBS', sequence, storedAt + sequence)
  for (let sequence = last - 2 ** 17 + 1; sequence <= last; sequence += 1) {
    assert.ok(finished.has('JOBS', sequence, storedAt + sequence))
  }
  assert.ok(!finished.has('JOBS', last - 2 ** 17, storedAt + last - 2 ** 17))
})

test('it never claims a job that was not finished, at any place of a long stream', () => {
  const finished = new Finished()
  const added = new Set<number>()
  fc.assert(
    fc.property(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), fc.boolean(), (sequence, add) => {
      if (add) {
        finished.add('JOBS', sequence, storedAt)
        added.add(sequence)
        assert.ok(finished.has('JOBS', sequence, storedAt))
      } else assert.ok(!finished.has('JOBS', sequence, storedAt) || added.has(sequence))
    }),
  )
})

test('the same place in another stream is another job', () => {
  const finished = new Finished()
  finished.add('JOBS', 7, storedAt)
  assert.ok(!finished.has('JOBS_HIGH', 7, storedAt))
  finished.add('JOBS_HIGH', 8, storedAt)
  assert.deepEqual(
    [7, 8].flatMap((sequence) =>
      ['JOBS', 'JOBS_HIGH'].map((stream) => finished.has(stream, sequence, storedAt)),
    ),
    [true, false, false, true],
  )
})
