import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  advanced,
  extraRunId,
  firstRecord,
  judgeTickJob,
  published,
  type TickRecord,
  tickId,
  tickOfJob,
} from '#src/core/ticks.js'

const day = Date.UTC(2026, 0, 1)

/** The record after ticks 1 to `count`, whose jobs stood at ten times their number. */
function recordAfter(count: number): TickRecord {
  let record = firstRecord(0, 's1')
  for (let tick = 1; tick <= count; tick += 1) {
    record = published(advanced(record, tick, 'claimed', 's1'), tick * 10)
  }
  return record
}

test('the id of a tick is its schedule and its instant in UTC with milliseconds', () => {
  assert.equal(tickId('report.daily', day), 'tick:report.daily:2026-01-01T00:00:00.000Z')
})

test("a tick's job is known by its headers, and only as long as it has not moved", () => {
  const headers = {
    'nats-msg-id': 'tick:a:2026-01-01T00:00:00.000Z',
    'millrace-schedule': 'a',
    'millrace-tick': '2026-01-01T00:00:00.000Z',
  }
  assert.deepEqual(tickOfJob(headers), { schedule: 'a', instant: day })
  assert.equal(tickOfJob({ ...headers, 'nats-msg-id': 'replay:JOBS_DEAD:7' }), undefined)
  assert.equal(tickOfJob({ ...headers, 'millrace-job-id': headers['nats-msg-id'] }), undefined)
  assert.equal(tickOfJob({ ...headers, 'millrace-schedule': 'b' }), undefined)
  assert.equal(tickOfJob({ ...headers, 'millrace-tick': 'soon' }), undefined)
  assert.equal(tickOfJob({ 'nats-msg-id': headers['nats-msg-id'] }), undefined)
  assert.equal(tickOfJob({ ...headers, 'nats-msg-id': extraRunId('a', day) }), undefined)
})

test('the first job that is seen of a claimed tick is its job, and any other a duplicate', () => {
  const claimed = advanced(recordAfter(3), 4, 'claimed', 's2')
  assert.equal(judgeTickJob(claimed, 4, 41), 'first')
  const marked = published(claimed, 41)
  assert.equal(judgeTickJob(marked, 4, 41), 'run')
  assert.equal(judgeTickJob(marked, 4, 42), 'duplicate')
  assert.equal(judgeTickJob(marked, 3, 30), 'run')
  assert.equal(judgeTickJob(marked, 3, 43), 'duplicate')
})

test('a job without a record, or ahead of it, runs', () => {
  assert.equal(judgeTickJob(undefined, 4, 41), 'run')
  assert.equal(judgeTickJob(recordAfter(3), 4, 41), 'run')
})

test('the job of a tick that is no longer on record runs, and one that was published too late does not', () => {
  const record = recordAfter(1_000)
  assert.ok(record.jobs.length < 100)
  assert.equal(judgeTickJob(record, 5, 50), 'run')
  assert.equal(judgeTickJob(record, 5, 9_999), 'duplicate')
})

test('ticks that have no job leave the jobs on record', () => {
  const record = advanced(advanced(recordAfter(2), 3, 'skipped', 's1'), 9, 'missed', 's1')
  assert.deepEqual([record.instant, record.state], [9, 'missed'])
  assert.equal(judgeTickJob(record, 2, 20), 'run')
  assert.equal(judgeTickJob(record, 2, 21), 'duplicate')
})

test('of any number of jobs of a tick exactly one runs, in whichever order they are looked at', () => {
  const looks = fc.array(fc.integer({ min: 40, max: 44 }), { minLength: 1, maxLength: 20 })
  fc.assert(
    fc.property(looks, fc.integer({ min: 0, max: 30 }), (sequences, laterTicks) => {
      let record = advanced(recordAfter(3), 4, 'claimed', 's1')
      const ran = new Set<number>()
      for (const sequence of sequences) {
        const verdict = judgeTickJob(record, 4, sequence)
        if (verdict === 'first') record = published(record, sequence)
        if (verdict !== 'duplicate') ran.add(sequence)
      }
      for (let tick = 5; tick < 5 + laterTicks; tick += 1) {
        record = published(advanced(record, tick, 'claimed', 's1'), 45 + tick)
      }
      for (const sequence of sequences) {
        if (judgeTickJob(record, 4, sequence) !== 'duplicate') ran.add(sequence)
      }
      assert.deepEqual([...ran], [sequences[0]])
    }),
  )
})
