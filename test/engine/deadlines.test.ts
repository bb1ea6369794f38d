import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Deadlines } from '#src/engine/deadlines.js'
import type { InFlightJob } from '#src/engine/in-flight-job.js'
import { FakeLane, handlerState, heldJob, ManualClock } from '../support/fake-engine-parts.ts'

function createDeadlines(concurrency = 1, examines = false) {
  const clock = new ManualClock()
  const lane = new FakeLane(clock, { concurrency })
  const deadlines = new Deadlines(clock, () => [lane], examines)
  let sequence = 0
  return {
    clock,
    lane,
    deadlines,
    /** Posts a job with this deadline; its grace is 500 ms. */
    post(deadlineMs: number): InFlightJob {
      const job = heldJob(++sequence, { handler: handlerState({ deadlineMs, graceMs: 500 }) })
      lane.put(job)
      lane.send()
      deadlines.watch(deadlineMs)
      return job
    },
  }
}

test('at its deadline an attempt is told to stop, and at the end of its grace its thread is killed', async () => {
  const { clock, lane, post } = createDeadlines()
  const job = post(1_000)
  lane.begin(job)
  let looks = 0
  lane.onCollect = () => {
    looks += 1
  }
  await clock.pass(999)
  assert.deepEqual(lane.aborted, [])
  await clock.pass(1)
  assert.deepEqual(lane.aborted, [{ job, code: 'deadline' }])
  assert.equal(job.abortCode, 'deadline')
  await clock.pass(499)
  assert.equal(lane.endReason, undefined)
  await clock.pass(1)
  assert.equal(lane.endReason, 'deadline')
  assert.equal(lane.aborted.length, 1)
  assert.equal(looks, 1, 'the port is looked at before the kill only')
})

test('the deadline runs from the start of the attempt, never while it waits', async () => {
  const { clock, lane, post } = createDeadlines()
  const job = post(1_000)
  await clock.pass(5_000)
  assert.deepEqual(lane.aborted, [])
  lane.begin(job)
  await clock.pass(999)
  assert.deepEqual(lane.aborted, [])
  await clock.pass(1_001)
  assert.equal(lane.aborted.length, 1)
})

test('an attempt that ended in time costs one look, and an idle engine none', async () => {
  const { clock, lane, post } = createDeadlines()
  const job = post(1_000)
  lane.begin(job)
  await clock.pass(10)
  lane.remove(job)
  await clock.pass(10_000)
  assert.deepEqual(lane.aborted, [])
  assert.equal(clock.timers, 0)
})

test('one timer serves all: the earliest deadline', async () => {
  const { clock, lane, post } = createDeadlines(3)
  const [long, short] = [post(10_000), post(100)]
  post(5_000)
  assert.equal(clock.timers, 1)
  lane.begin(long)
  lane.begin(short)
  await clock.pass(100)
  assert.deepEqual(lane.aborted, [{ job: short, code: 'deadline' }])
  lane.remove(short)
  await clock.pass(9_900)
  assert.deepEqual(lane.aborted.at(-1), { job: long, code: 'deadline' })
})

test('results that have arrived are looked at before the kill', async () => {
  const { clock, lane, post } = createDeadlines()
  const job = post(1_000)
  lane.begin(job)
  lane.onCollect = () => {
    if (lane.jobs().includes(job)) lane.remove(job)
  }
  await clock.pass(2_000)
  assert.equal(lane.endReason, undefined)
})

test('an attempt that was already told to stop for another reason is timed out at its deadline', async () => {
  const { clock, lane, post } = createDeadlines()
  const job = post(1_000)
  lane.begin(job)
  job.abortCode = 'shutdown'
  await clock.pass(1_000)
  assert.equal(job.abortCode, 'deadline')
})

test('a neighbour whose deadline is not over is neither told to stop nor charged', async () => {
  const { clock, lane, post } = createDeadlines(2)
  const [culprit, neighbour] = [post(100), post(10_000)]
  lane.begin(culprit)
  lane.begin(neighbour)
  await clock.pass(600)
  assert.equal(lane.endReason, 'deadline')
  assert.equal(neighbour.abortCode, undefined)
})

test('nothing is enforced on a thread that is ending, nor after a stop', async () => {
  const { clock, lane, deadlines, post } = createDeadlines()
  lane.begin(post(1_000))
  lane.endReason = 'crash'
  await clock.pass(1_000)
  assert.deepEqual(lane.aborted, [])
  lane.endReason = undefined
  deadlines.watch(1_000)
  deadlines.stop()
  await clock.pass(10_000)
  assert.deepEqual(lane.aborted, [])
  assert.equal(clock.timers, 0)
})

test('before a kill the thread is asked where the attempt is, within the grace', async () => {
  const { clock, lane, post } = createDeadlines(1, true)
  const job = post(1_000)
  lane.begin(job)
  await clock.pass(1_249)
  assert.equal(lane.examined.length, 0)
  await clock.pass(1)
  assert.equal(lane.examined.length, 1)
  lane.examined[0]!.found({ kind: 'native' })
  await clock.pass(249)
  assert.deepEqual(job.whereabouts, { kind: 'native' })
  assert.equal(lane.endReason, undefined)
  await clock.pass(1)
  assert.equal(lane.endReason, 'deadline')
  assert.equal(lane.examined.length, 1, 'once for each attempt')
})

test('after a cancel the thread is asked within the grace, too, and killed at its end', async () => {
  const { clock, lane, deadlines, post } = createDeadlines(1, true)
  const job = post(60_000)
  lane.begin(job)
  await clock.pass(1_000)
  job.abortCode = 'cancelled'
  job.cancelledAt = clock.monotonicMs()
  deadlines.watchCancelled(job, lane)
  await clock.pass(249)
  assert.equal(lane.examined.length, 0)
  await clock.pass(1)
  assert.equal(lane.examined.length, 1)
  lane.examined[0]!.found({ kind: 'native' })
  await clock.pass(249)
  assert.equal(lane.endReason, undefined)
  await clock.pass(1)
  assert.equal(lane.endReason, 'cancelled')
})

test('a thread that cannot be asked is killed all the same', async () => {
  const { clock, lane, post } = createDeadlines(1, true)
  const job = post(1_000)
  lane.begin(job)
  await clock.pass(1_300)
  lane.examined[0]!.fail()
  await clock.pass(200)
  assert.deepEqual(job.whereabouts, { kind: 'unknown' })
  assert.equal(lane.endReason, 'deadline')
})

test('a kill waits for an answer that is late, and for nothing after it', async () => {
  const { clock, lane, post } = createDeadlines(1, true)
  const job = post(1_000)
  lane.begin(job)
  await clock.pass(1_510)
  assert.equal(lane.endReason, undefined)
  lane.examined[0]!.found({ kind: 'unknown' })
  await clock.pass(0)
  assert.equal(lane.endReason, 'deadline')
})

test('an attempt that ends while it is asked for leaves the thread alone, and its answer goes nowhere', async () => {
  const { clock, lane, post } = createDeadlines(1, true)
  const job = post(1_000)
  lane.begin(job)
  await clock.pass(1_300)
  lane.remove(job)
  const next = post(1_000)
  lane.examined[0]!.found({ kind: 'native' })
  await clock.pass(900)
  assert.equal(lane.endReason, undefined)
  assert.equal(next.whereabouts, undefined)
  assert.equal(job.whereabouts, 'asked')
})

test('whose answer is late keeps the thread no longer when another attempt on it is over', async () => {
  const { clock, lane, post } = createDeadlines(2, true)
  const [first, second] = [post(1_000), post(1_000)]
  lane.begin(first)
  lane.begin(second)
  await clock.pass(1_400)
  lane.examined.find(({ job }) => job === second)!.found({ kind: 'waiting', resources: {} })
  await clock.pass(100)
  assert.equal(lane.endReason, 'deadline')
})
