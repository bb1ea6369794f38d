import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads'
import type { Outcome } from '#src/core/outcome.js'
import type { InFlightJob } from '#src/engine/in-flight-job.js'
import { type LaneOwner, ThreadLaneHandle } from '#src/threads/lane.js'
import {
  cell,
  fieldCount,
  fields,
  headCount,
  type JobBatch,
  type JobsWithExtras,
  type Phase,
  phaseOf,
  phases,
} from '#src/threads/lane-protocol.js'
import { handlerState, heldJob, settled } from '../support/fake-engine-parts.ts'

/** A lane whose thread is this test: it writes into the table and posts what a thread would. */
function createLane(t: TestContext, slots = 4, concurrency = 1) {
  const { port1, port2 } = new MessageChannel()
  const late: InFlightJob[] = []
  const ended: { job: InFlightJob; outcome: Outcome; durationMs: number }[] = []
  let handled = 0
  const owner: LaneOwner = {
    ended: (_lane, job, outcome, _startedAt, durationMs) => ended.push({ job, outcome, durationMs }),
    late: (_lane, jobs) => late.push(...jobs),
    resultsHandled: () => {
      handled += 1
    },
    ready: () => {},
    leaked: () => {},
    progressed: () => {},
    kill: () => {},
  }
  const lane = new ThreadLaneHandle({ pool: 'cpu', slots, concurrency, ackWaitMs: 1_000 }, port1, owner)
  t.after(() => {
    port1.close()
    port2.close()
  })
  let sequence = 0
  return {
    lane,
    ended,
    late,
    port: port2,
    get handled() {
      return handled
    },
    post(count = 1, data = ''): InFlightJob[] {
      const handler = handlerState()
      const jobs = Array.from({ length: count }, () =>
        heldJob(++sequence, { handler, data: Buffer.from(data + sequence) }),
      )
      for (const job of jobs) lane.put(job)
      lane.send()
      return jobs
    },
    mark(job: InFlightJob, phase: Phase, startedAt = 5): void {
      lane.table.startedAt[job.slot] = startedAt
      Atomics.store(lane.table.cells, job.slot, cell(job.ticket, phase))
    },
    batch(): JobBatch {
      return receiveMessageOnPort(port2)!.message as JobBatch
    },
  }
}

const crashed: Outcome = { kind: 'crashed', error: { code: 'thread_exit', message: 'process.exit' } }

test('a batch carries the numbers and the bytes of each job', (t) => {
  const { batch, post } = createLane(t)
  const [, second] = post(2, 'payload-')
  const buffer = batch()
  assert.ok(buffer instanceof ArrayBuffer, 'no job has extras')
  const numbers = new Float64Array(buffer, 0, headCount + 2 * fieldCount)
  assert.equal(numbers[0], 2)
  const field = (name: keyof typeof fields) => numbers[headCount + fieldCount + fields[name]]!
  assert.deepEqual(
    [
      field('slot'),
      field('ticket'),
      field('sequence'),
      field('deadlineMs'),
      field('json'),
      field('redelivered'),
    ],
    [second!.slot, second!.ticket, 2, 10_000, 1, 0],
  )
  const bytes = Buffer.from(buffer, numbers.byteLength)
  assert.equal(bytes.subarray(field('offset'), field('offset') + field('length')).toString(), 'payload-2')
})

test('headers and id go with their own job of the batch only', (t) => {
  const { lane, batch } = createLane(t)
  const [plain, rich] = [heldJob(1), heldJob(2)]
  rich.headers = { 'x-one': '1' }
  rich.id = 'order-7'
  lane.put(plain)
  lane.put(rich)
  lane.send()
  assert.deepEqual((batch() as JobsWithExtras).extras, [
    undefined,
    { id: 'order-7', headers: { 'x-one': '1' } },
  ])
})

test('a job can be taken back until it has begun, and its slot is free again', (t) => {
  const { lane, post, mark } = createLane(t)
  const [first, second] = post(2)
  mark(first!, phases.started)
  assert.equal(lane.takeBack(first!), false)
  assert.equal(lane.takeBack(second!), true)
  assert.equal(lane.takeBack(second!), false)
  assert.deepEqual([lane.outstanding, lane.freeSlots, second!.handler.posted], [1, 3, 1])
  assert.equal(lane.startedAt(first!), 5)
})

test('a result of an earlier ticket ends nobody whose slot it was', async (t) => {
  const { lane, ended, port, post } = createLane(t, 1)
  const [old] = post()
  const { slot, ticket } = old!
  lane.takeBack(old!)
  const [current] = post()
  assert.equal(current!.slot, slot)
  port.postMessage({ kind: 'results', completed: [slot, ticket], others: [] })
  await settled()
  lane.collect()
  assert.deepEqual(ended, [])
  assert.equal(lane.outstanding, 1)
})

test('results end their jobs with outcome and run time, and then the batch is told', async (t) => {
  const parts = createLane(t)
  const { lane, ended, port, post } = parts
  const [first, second] = post(2)
  const failed: Outcome = { kind: 'failed', error: { code: 'handler_error', message: 'no luck' } }
  lane.stalled = true
  lane.table.durationMs[first!.slot] = 1.5
  port.postMessage({
    kind: 'results',
    completed: [first!.slot, first!.ticket],
    others: [{ slot: second!.slot, ticket: second!.ticket, durationMs: 2.5, outcome: failed }],
  })
  lane.collect()
  assert.deepEqual(
    ended.map(({ job, outcome, durationMs }) => [job, outcome.kind, durationMs]),
    [
      [first, 'completed', 1.5],
      [second, 'failed', 2.5],
    ],
  )
  assert.deepEqual([parts.handled, lane.outstanding, lane.stalled, lane.backlogMs], [1, 0, false, 0])
})

test('a thread that is gone leaves each job as its mark says', (t) => {
  const { lane, ended, post, mark } = createLane(t, 5)
  const [posted, started, done, signalled] = post(4)
  mark(started!, phases.started, 7)
  mark(done!, phases.done)
  mark(signalled!, phases.signalled, 8)
  Atomics.store(lane.table.current, 0, started!.slot + 1)
  const left = lane.close()
  assert.deepEqual(left.unstarted, [posted])
  assert.deepEqual(
    new Set(left.started.map((each) => ({ ...each, job: each.job.sequence }))),
    new Set([
      { job: 2, startedAt: 7, signalled: false, inside: true },
      { job: 4, startedAt: 8, signalled: true, inside: false },
    ]),
  )
  assert.deepEqual(
    ended.map(({ job, outcome }) => [job, outcome.kind]),
    [[done, 'completed']],
  )
  assert.equal(lane.outstanding, 0)
})

test('a job that ends its thread is settled when the thread is gone, and not before', (t) => {
  const { lane, ended, port, post, mark } = createLane(t)
  lane.open = true
  const [culprit, neighbour] = post(2)
  mark(culprit!, phases.culprit)
  mark(neighbour!, phases.started)
  const result = { slot: culprit!.slot, ticket: culprit!.ticket, durationMs: 3, outcome: crashed }
  port.postMessage({ kind: 'results', completed: [], others: [result] })
  lane.collect()
  assert.deepEqual(ended, [])
  assert.deepEqual([lane.open, lane.culpritKnown, lane.outstanding], [false, true, 2])
  const { started } = lane.close()
  assert.deepEqual(
    ended.map(({ job, outcome }) => [job, outcome]),
    [[culprit, crashed]],
  )
  assert.deepEqual(
    started.map(({ job }) => job),
    [neighbour],
  )
})

test('results that had arrived before the thread ended still count', (t) => {
  const { lane, ended, port, post, mark } = createLane(t)
  const [job] = post()
  mark(job!, phases.started)
  port.postMessage({ kind: 'results', completed: [job!.slot, job!.ticket], others: [] })
  assert.deepEqual(lane.close(), { started: [], unstarted: [] })
  assert.deepEqual(
    ended.map(({ outcome }) => outcome.kind),
    ['completed'],
  )
})

test('what is done on a thread that is blocked ends by its mark, and its late result ends nobody', (t) => {
  const parts = createLane(t)
  const { lane, ended, port, post, mark } = parts
  const [done, blocking] = post(2) as [InFlightJob, InFlightJob]
  const { slot, ticket } = done
  mark(done, phases.done)
  lane.table.durationMs[slot] = 2.5
  lane.collect()
  assert.equal(lane.endDone(7.5), true, 'nothing blocks it: it only waits for a processor')
  assert.equal(ended.length, 0)
  mark(blocking, phases.started)
  assert.equal(lane.endDone(7), true, 'it began at 5 and was done at 7.5')
  assert.equal(ended.length, 0)
  assert.equal(lane.endDone(7.5), false)
  assert.deepEqual(
    ended.map(({ job, outcome, durationMs }) => [job, outcome.kind, durationMs]),
    [[done, 'completed', 2.5]],
  )
  assert.deepEqual([parts.handled, lane.outstanding], [1, 1])
  const [next] = post()
  assert.equal(next!.slot, slot)
  port.postMessage({ kind: 'results', completed: [slot, ticket], others: [] })
  lane.collect()
  assert.equal(ended.length, 1)
})

test('what a thread has not begun because its lease ran out is told of once, and its slot is free', (t) => {
  const { lane, ended, late, port, post, mark } = createLane(t)
  const [done, tooLate, takenBack] = post(3) as [InFlightJob, InFlightJob, InFlightJob]
  for (const job of [tooLate, takenBack]) mark(job, phases.late)
  assert.equal(lane.startedAt(tooLate), undefined)
  assert.equal(lane.takeBack(takenBack), true, 'it never begins')
  port.postMessage({ kind: 'results', completed: [done.slot, done.ticket], others: [], late: true })
  lane.collect()
  assert.deepEqual(
    ended.map(({ job }) => job),
    [done],
  )
  assert.deepEqual(late, [tooLate])
  assert.deepEqual([lane.outstanding, lane.freeSlots, tooLate.lane], [0, 4, undefined])
})

test('a lane that closes hands over what was too late to begin as not begun', (t) => {
  const { lane, post, mark } = createLane(t)
  const [job] = post()
  mark(job!, phases.late)
  assert.deepEqual(lane.close(), { started: [], unstarted: [job] })
})

test('the thread knows how long each lease lasts, also when it is renewed', (t) => {
  const { lane, post } = createLane(t)
  const [job] = post()
  assert.equal(lane.table.leaseUntil[job!.slot], job!.renewedAt + 1_000)
  job!.renewed(job!.renewedAt + 500)
  assert.equal(lane.table.leaseUntil[job!.slot], job!.renewedAt + 1_000)
})

test('a job that is done and not yet reported is neither running nor to be taken back', (t) => {
  const { lane, post, mark } = createLane(t)
  const [job] = post()
  mark(job!, phases.done)
  assert.equal(lane.takeBack(job!), false)
  assert.equal(phaseOf(lane.table.cells[job!.slot]!), phases.done)
  assert.equal(lane.startedAt(job!), undefined, 'its deadline is over and done with')
})

test('what a handler returned is there when its job ends, also when only the mark tells of its end', async (t) => {
  const { lane, ended, port, post, mark } = createLane(t)
  const [first, second] = post(2) as [InFlightJob, InFlightJob]
  for (const job of [first, second]) {
    const value = { kind: 'json', json: String(job.sequence) }
    port.postMessage({ kind: 'returned', slot: job.slot, ticket: job.ticket, value })
  }
  port.postMessage({ kind: 'results', completed: [first.slot, first.ticket], others: [] })
  mark(second, phases.done)
  lane.close()
  assert.deepEqual(
    ended.map(({ job, outcome }) => [job.sequence, outcome.kind, job.returned]),
    [
      [1, 'completed', { kind: 'json', json: '1' }],
      [2, 'completed', { kind: 'json', json: '2' }],
    ],
  )
})

test('what an earlier job of the slot returned is nobody else’s', async (t) => {
  const { lane, port, post } = createLane(t)
  const [job] = post(1) as [InFlightJob]
  const value = { kind: 'json', json: '1' }
  port.postMessage({ kind: 'returned', slot: job.slot, ticket: job.ticket - 1, value })
  lane.collect()
  assert.equal(job.returned, undefined)
})
