import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Priority } from '#src/core/names.js'
import { aheadLimit, aheadOf, Dispatcher } from '#src/engine/dispatcher.js'
import type { HandlerState } from '#src/engine/handler-state.js'
import type { InFlightJob } from '#src/engine/in-flight-job.js'
import { horizonMs } from '#src/engine/waiting-jobs.js'
import { FakeLane, handlerState, heldJob, ManualClock, settled } from '../support/fake-engine-parts.ts'

function createDispatcher(
  lanes: { concurrency?: number }[] = [{}],
  expectedAbove: (priority: Priority) => number = () => 0,
) {
  const clock = new ManualClock()
  const posted: InFlightJob[][] = []
  const dispatcher = new Dispatcher('cpu', clock, {
    posted: (jobs) => posted.push([...jobs]),
    takenBack: (jobs) => dispatcher.addFirst(jobs),
    expectedAbove,
  })
  const made = lanes.map((options, index) => new FakeLane(clock, { threadId: index + 1, ...options }))
  dispatcher.lanes.push(...made)
  let sequence = 0
  return {
    clock,
    dispatcher,
    lanes: made,
    posted,
    /** Adds `count` jobs of a handler, and waits until they went where they go. */
    async add(handler: HandlerState, count = 1, priority: Priority = 'normal'): Promise<InFlightJob[]> {
      const jobs = Array.from({ length: count }, () => heldJob(++sequence, { handler, priority }))
      for (const job of jobs) dispatcher.add(job)
      await settled()
      return jobs
    },
    /** The thread has finished this job and said so. */
    async finish(lane: FakeLane, job: InFlightJob): Promise<void> {
      lane.remove(job)
      lane.lastProgressAt = clock.monotonicMs()
      lane.stalled = false
      dispatcher.schedule()
      await settled()
    },
  }
}

const measured = (averageMs: number, overrides = {}): HandlerState => {
  const handler = handlerState(overrides)
  handler.averageMs = averageMs
  return handler
}

test('a free thread gets a job at the end of the turn in which it arrived', async () => {
  const { lanes, posted, add, dispatcher } = createDispatcher()
  const [job] = await add(handlerState())
  assert.deepEqual(lanes[0]!.jobs(), [job])
  assert.equal(posted.length, 1)
  assert.equal(dispatcher.waiting, 0)
})

test('what arrives together is shared out evenly among free threads, in one message each', async () => {
  const { lanes, add } = createDispatcher([{}, {}, {}])
  await add(measured(2), 9)
  assert.deepEqual(
    lanes.map((lane) => lane.batches.map((batch) => batch.length)),
    [[3], [3], [3]],
  )
})

test('no second thread is woken for less work than its waking costs', async () => {
  const { lanes, add } = createDispatcher([{}, {}])
  await add(measured(0.1), 5)
  assert.deepEqual(
    lanes.map((lane) => lane.outstanding),
    [5, 0],
  )
})

test('the least busy of the free threads is served first', async () => {
  const { lanes, add } = createDispatcher([{ concurrency: 3 }, { concurrency: 3 }])
  const handler = measured(1_000)
  await add(handler, 3)
  assert.deepEqual(
    lanes.map((lane) => lane.outstanding),
    [2, 1],
  )
  await add(handler)
  assert.deepEqual(
    lanes.map((lane) => lane.outstanding),
    [2, 2],
  )
})

test('without a measurement nothing is posted ahead', async () => {
  const { lanes, dispatcher, add } = createDispatcher()
  await add(handlerState(), 3)
  assert.equal(lanes[0]!.outstanding, 1)
  assert.equal(dispatcher.waiting, 2)
})

test('what is posted ahead adds up to at most 30 ms of run time', async () => {
  for (const averageMs of [0.05, 0.5, 1, 4, 7, 15, 30, 31, 1_000]) {
    const { lanes, add } = createDispatcher()
    await add(measured(averageMs), 2_000)
    const [lane] = lanes
    assert.ok(lane!.outstanding >= 1)
    assert.ok(
      lane!.outstanding === 1 || lane!.backlogMs <= horizonMs + 1e-6,
      `${averageMs}: ${lane!.backlogMs}`,
    )
    assert.ok(lane!.outstanding <= lane!.concurrency + aheadLimit)
  }
})

test('no message carries more than 256 jobs', async () => {
  const { lanes, add, finish } = createDispatcher()
  await add(measured(0.01), 1_000)
  for (const job of lanes[0]!.jobs().slice(0, 100)) await finish(lanes[0]!, job)
  const sizes = lanes[0]!.batches.map((batch) => batch.length)
  assert.equal(sizes[0], 256)
  assert.ok(Math.max(...sizes) <= 256)
})

test('a busy thread that runs long jobs gets no short ones behind them', async () => {
  const { lanes, dispatcher, add } = createDispatcher()
  await add(measured(500, { name: 'long' }))
  await add(measured(1, { name: 'short' }), 50)
  assert.equal(lanes[0]!.outstanding, 1)
  assert.equal(dispatcher.waiting, 50)
})

test('a handler never has more attempts on threads than its concurrency, and the others go on', async () => {
  const { lanes, add, finish } = createDispatcher([{}, {}, {}, {}])
  const [limited, free] = [
    measured(100, { name: 'limited', concurrency: 2 }),
    measured(100, { name: 'free' }),
  ]
  const jobs = await add(limited, 4)
  assert.equal(limited.posted, 2)
  assert.equal(lanes.filter((lane) => lane.outstanding > 0).length, 2)
  await add(free, 4)
  assert.equal(free.posted, 2)
  const lane = lanes.find((each) => each.jobs().includes(jobs[0]!))!
  await finish(lane, jobs[0]!)
  assert.ok(limited.posted <= 2)
})

test('handlers take turns', async () => {
  const { lanes, add, dispatcher } = createDispatcher([{ concurrency: 6 }])
  lanes[0]!.open = false
  await add(measured(100, { name: 'flood' }), 100)
  await add(measured(100, { name: 'b' }), 2)
  await add(measured(100, { name: 'c' }), 2)
  lanes[0]!.open = true
  dispatcher.schedule()
  await settled()
  assert.deepEqual(
    lanes[0]!.jobs().map((job) => job.handler.profile.name),
    ['flood', 'b', 'c', 'flood', 'b', 'c'],
  )
})

test('jobs of one handler keep their order, and what is put back goes before them', async () => {
  const { lanes, add, dispatcher, finish } = createDispatcher()
  const handler = measured(100)
  const [first, second, third] = await add(handler, 3)
  const again = heldJob(99, { handler })
  dispatcher.addFirst([again])
  await finish(lanes[0]!, first!)
  assert.deepEqual(lanes[0]!.jobs(), [again])
  await finish(lanes[0]!, again)
  assert.deepEqual(lanes[0]!.jobs(), [second])
  await finish(lanes[0]!, second!)
  assert.deepEqual(lanes[0]!.jobs(), [third])
})

test('what waits behind a thread that reports nothing for 30 ms is taken back and goes elsewhere', async () => {
  const { clock, lanes, add, dispatcher } = createDispatcher([{}, {}])
  const [stuck, other] = lanes as [FakeLane, FakeLane]
  other.open = false
  const jobs = await add(measured(1), 10)
  assert.deepEqual(stuck.jobs(), jobs)
  stuck.begin(jobs[0]!)
  await clock.pass(29)
  assert.equal(stuck.outstanding, 10)
  other.open = true
  await clock.pass(1)
  assert.deepEqual(stuck.jobs(), [jobs[0]])
  assert.equal(stuck.stalled, true)
  assert.deepEqual(other.jobs(), jobs.slice(1))
  assert.equal(dispatcher.waiting, 0)
})

test('a stalled thread gets nothing more until it reports', async () => {
  const { clock, lanes, add, dispatcher, finish } = createDispatcher()
  const [lane] = lanes as [FakeLane]
  const jobs = await add(measured(1), 3)
  lane.begin(jobs[0]!)
  await clock.pass(30)
  assert.equal(dispatcher.waiting, 2)
  dispatcher.schedule()
  await settled()
  assert.equal(lane.outstanding, 1)
  await finish(lane, jobs[0]!)
  assert.deepEqual(lane.jobs(), [jobs[1], jobs[2]])
})

test('a thread that reports in time keeps its jobs, and is watched on', async () => {
  const { clock, lanes, add } = createDispatcher()
  const [lane] = lanes as [FakeLane]
  const jobs = await add(measured(1), 3)
  lane.begin(jobs[0]!)
  await clock.pass(20)
  lane.lastProgressAt = clock.monotonicMs()
  await clock.pass(20)
  assert.equal(lane.outstanding, 3)
  await clock.pass(20)
  assert.equal(lane.outstanding, 1)
})

test('results that have arrived are looked at before anything is taken back', async () => {
  const { clock, lanes, add } = createDispatcher()
  const [lane] = lanes as [FakeLane]
  const jobs = await add(measured(1), 3)
  lane.begin(jobs[0]!)
  lane.onCollect = () => {
    lane.remove(jobs[0]!)
    lane.begin(jobs[1]!)
  }
  await clock.pass(30)
  assert.deepEqual(lane.jobs(), jobs.slice(1))
})

test('a thread that runs no slow job has merely not woken up, and keeps its jobs', async () => {
  const { clock, lanes, add } = createDispatcher()
  const [lane] = lanes as [FakeLane]
  const jobs = await add(measured(1), 3)
  await clock.pass(40)
  assert.equal(lane.outstanding, 3)
  lane.begin(jobs[0]!)
  await clock.pass(60)
  assert.deepEqual(lane.jobs(), [jobs[0]])
})

test('a thread that is closed gets nothing', async () => {
  const { lanes, add, dispatcher } = createDispatcher()
  lanes[0]!.open = false
  await add(measured(1), 3)
  assert.equal(lanes[0]!.outstanding, 0)
  assert.equal(dispatcher.waiting, 3)
})

test('a waiting job can be taken out, once', async () => {
  const { lanes, add, dispatcher } = createDispatcher()
  const [first, second, third] = await add(handlerState(), 3)
  assert.equal(dispatcher.remove(first!), false)
  assert.equal(dispatcher.remove(second!), true)
  assert.equal(dispatcher.remove(second!), false)
  assert.deepEqual([dispatcher.waiting, dispatcher.takeAll()], [1, [third]])
  assert.equal(dispatcher.waiting, 0)
  assert.equal(lanes[0]!.outstanding, 1)
})

test('how much may be posted ahead follows the run time', () => {
  assert.equal(aheadOf(undefined, 1), 0)
  assert.equal(aheadOf(31, 1), 0)
  assert.equal(aheadOf(10, 1), 3)
  assert.equal(aheadOf(10, 2), 6)
  assert.equal(aheadOf(0, 1), aheadLimit)
})

const names = (lane: FakeLane) => lane.jobs().map((job) => job.source.priority)

test('high jobs go before normal ones, and normal ones before low ones, across handlers', async () => {
  const { lanes, dispatcher, add } = createDispatcher([{ concurrency: 3 }])
  lanes[0]!.open = false
  await add(measured(100), 1, 'low')
  await add(measured(100, { name: 'b' }), 1)
  await add(measured(100, { name: 'c' }), 1, 'high')
  lanes[0]!.open = true
  dispatcher.schedule()
  await settled()
  assert.deepEqual(names(lanes[0]!), ['high', 'normal', 'low'])
})

test('a high job that waits for a free slot is not passed by short ones that are posted ahead', async () => {
  const { lanes, add, finish } = createDispatcher()
  const [lane] = lanes as [FakeLane]
  const short = await add(measured(1), 20)
  await add(measured(500, { name: 'long' }), 1, 'high')
  await add(measured(1, { name: 'more' }), 100)
  assert.equal(lane.outstanding, 20, 'nothing more is posted')
  for (const job of short) await finish(lane, job)
  assert.deepEqual(names(lane)[0], 'high')
})

test('a low job that needs a free slot gets it when its turn has come, however short the others are', async () => {
  const { lanes, dispatcher, add, finish } = createDispatcher()
  const [lane] = lanes as [FakeLane]
  await add(measured(1), 200)
  const [low] = await add(measured(500, { name: 'long' }), 1, 'low')
  let finished = 0
  while (low!.lane === undefined && finished < 200) {
    await finish(lane, lane.jobs()[0]!)
    finished += 1
  }
  assert.ok(finished < 80, `only after ${finished} jobs`)
  assert.ok(dispatcher.waiting > 100)
})

test('what is put back keeps its priority', async () => {
  const { lanes, dispatcher, add, finish } = createDispatcher()
  const handler = measured(100)
  const [running] = await add(handler, 2)
  const [high, low] = [heldJob(90, { handler, priority: 'high' }), heldJob(91, { handler, priority: 'low' })]
  dispatcher.addFirst([low, high])
  await finish(lanes[0]!, running!)
  assert.deepEqual(lanes[0]!.jobs(), [high])
  await finish(lanes[0]!, high)
  assert.deepEqual(names(lanes[0]!), ['normal'])
  assert.deepEqual([dispatcher.remove(low), dispatcher.waiting], [true, 0])
})

test('a low job leaves a free slot to a normal one that is on its way, for a moment', async () => {
  let expected = 1
  const { clock, lanes, add } = createDispatcher([{}], (priority) => (priority === 'low' ? expected : 0))
  await add(measured(100), 1, 'low')
  assert.equal(lanes[0]!.outstanding, 0)
  // It does not come after all.
  expected = 0
  await clock.pass(19)
  assert.equal(lanes[0]!.outstanding, 0)
  await clock.pass(1)
  assert.deepEqual(names(lanes[0]!), ['low'])
})

test('the job on its way gets the slot that was kept free for it', async () => {
  const { lanes, add } = createDispatcher([{}], (priority) => (priority === 'low' ? 1 : 0))
  await add(measured(100), 1, 'low')
  await add(measured(100))
  assert.deepEqual(names(lanes[0]!), ['normal'])
})

test('slots beyond those that are expected to be wanted are not kept free', async () => {
  const { lanes, add } = createDispatcher([{}, {}, {}], () => 2)
  await add(measured(100), 3, 'low')
  assert.equal(lanes.filter((lane) => lane.outstanding > 0).length, 1)
})
