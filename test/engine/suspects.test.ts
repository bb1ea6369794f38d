import assert from 'node:assert/strict'
import { test } from 'node:test'
import { noRecord } from '#src/core/attempt.js'
import type { InFlightJob } from '#src/engine/in-flight-job.js'
import { Marks } from '#src/engine/marks.js'
import { lookAgain } from '#src/engine/second-look.js'
import { Suspects } from '#src/engine/suspects.js'
import {
  FakeBroker,
  FakeObserver,
  Gate,
  heldJob,
  ManualClock,
  settled,
} from '../support/fake-engine-parts.ts'

function createSuspects() {
  const broker = new FakeBroker()
  const observer = new FakeObserver()
  const ran: InFlightJob[] = []
  const clock = new ManualClock()
  const gone: InFlightJob[] = []
  const suspects = new Suspects(clock, new Marks(broker, observer), {
    lookAgain: (job) => lookAgain(job, broker),
    gone: (job) => {
      gone.push(job)
      suspects.remove(job)
    },
    pass: (job) => ran.push(job),
  })
  const add = (job: InFlightJob): void => {
    suspects.suspected(job)
    assert.ok(!suspects.enter(job))
  }
  /** Long enough for suspects of one crash to have found each other. */
  const quiet = () => clock.pass(100)
  return { broker, clock, observer, ran, gone, suspects, add, quiet }
}

test('one suspect runs at a time, in the order of arrival', async () => {
  const { ran, suspects, add, quiet } = createSuspects()
  const [one, two, three] = [heldJob(1), heldJob(2), heldJob(3)]
  for (const job of [one, two, three]) add(job)
  await quiet()
  assert.deepEqual(ran, [one])
  suspects.ended(one)
  await quiet()
  assert.deepEqual(ran, [one, two])
  suspects.ended(two)
  await quiet()
  assert.deepEqual(ran, [one, two, three])
})

test('the record of a job that is a suspect is not ours alone: it is looked at again before it begins', () => {
  const { add } = createSuspects()
  const job = Object.assign(heldJob(1), { isAllOurs: true })
  add(job)
  assert.equal(job.isAllOurs, false)
})

test('what somebody else has settled meanwhile does not run, and the next one does', async () => {
  const { broker, ran, gone, suspects, add, quiet } = createSuspects()
  const [one, two, three] = [heldJob(1), heldJob(2), heldJob(3)]
  for (const job of [one, two, three]) add(job)
  await quiet()
  broker.settledElsewhere.add(two.sequence)
  suspects.ended(one)
  await quiet()
  assert.deepEqual(ran, [one, three])
  assert.deepEqual(gone, [two])
})

test('G4: what a survivor wrote meanwhile counts when the turn of a suspect comes', async () => {
  const { broker, ran, suspects, add, quiet } = createSuspects()
  const [one, two] = [heldJob(1), heldJob(2, { deliveries: 2 })]
  two.attempt = 2
  add(one)
  add(two)
  await quiet()
  // Two is marked by now; whoever had it before says that it had not begun.
  await broker.releaseRecord(two.stream, two.sequence, 1)
  suspects.ended(one)
  await quiet()
  assert.deepEqual(ran, [one, two])
  assert.equal(two.attempt, 1)
  assert.equal(broker.records.get(2)?.released, 1)
})

test('G4: what a survivor wrote, and what came again here, both count at the second look', async () => {
  const broker = new FakeBroker()
  for (const isMarked of [false, true]) {
    const job = heldJob(1, { deliveries: 4 })
    // The fourth delivery came while it was held, and the second was another one's; a mark is stored as one more.
    job.record = { ...noRecord, released: 1 }
    job.isMarked = isMarked
    job.storedReleases = isMarked ? 2 : 0
    broker.records.set(1, { ...noRecord, released: job.storedReleases + 1 })
    assert.ok(await lookAgain(job, broker))
    assert.deepEqual([job.record.released, job.attempt], [2, 2])
    assert.equal(job.storedReleases, isMarked ? 3 : 1)
    await lookAgain(job, broker)
    assert.equal(job.record.released, 2)
  }
})

test('a suspect that is taken out while the broker is asked keeps its mark', async () => {
  const { broker, ran, suspects, add, quiet } = createSuspects()
  const [one, two] = [heldJob(1), heldJob(2)]
  add(one)
  add(two)
  await quiet()
  broker.readGate = new Gate()
  suspects.ended(one)
  await quiet()
  suspects.remove(two)
  await broker.readGate.open()
  await quiet()
  assert.deepEqual(ran, [one])
  assert.equal(broker.records.get(2)?.released, 1)
})

test('the end of a job that is not the running suspect frees nothing', async () => {
  const { ran, suspects, add, quiet } = createSuspects()
  const [one, two] = [heldJob(1), heldJob(2)]
  add(one)
  add(two)
  await quiet()
  suspects.ended(two)
  await quiet()
  assert.deepEqual(ran, [one])
})

test('who waits is marked as not counting, and the mark goes before its own turn', async () => {
  const { broker, ran, suspects, add, quiet } = createSuspects()
  const [one, two] = [heldJob(1), heldJob(2)]
  add(one)
  add(two)
  await quiet()
  assert.deepEqual(broker.take('read'), ['write 2 released=1 failures=0'])
  suspects.ended(one)
  await quiet()
  assert.deepEqual(broker.take('read'), ['write 2 released=0 failures=0'])
  assert.deepEqual(ran, [one, two])
  assert.equal(two.record.released, 0)
})

test('the next suspect does not run before the marks of those behind it are stored', async () => {
  const { broker, ran, suspects, add, quiet } = createSuspects()
  const [one, two, three] = [heldJob(1), heldJob(2), heldJob(3)]
  add(one)
  add(two)
  await quiet()
  broker.writeGate = new Gate()
  add(three)
  suspects.ended(one)
  await quiet()
  assert.deepEqual(broker.take('read'), ['write 2 released=1 failures=0', 'write 3 released=1 failures=0'])
  await broker.writeGate.open()
  assert.deepEqual(broker.take('read'), ['write 2 released=0 failures=0'])
  assert.deepEqual(ran, [one])
  await broker.writeGate.open()
  assert.deepEqual(ran, [one, two])
})

test('a suspect runs only once its own mark is taken back', async () => {
  const { broker, ran, suspects, add, quiet } = createSuspects()
  const [one, two] = [heldJob(1), heldJob(2)]
  add(one)
  add(two)
  await quiet()
  broker.writeGate = new Gate()
  suspects.ended(one)
  await quiet()
  assert.deepEqual(ran, [one])
  await broker.writeGate.open()
  assert.deepEqual(ran, [one, two])
})

test('a bucket that cannot be reached holds nobody up', async () => {
  const { broker, observer, ran, suspects, add, quiet } = createSuspects()
  broker.bucketError = new Error('no bucket')
  const [one, two] = [heldJob(1), heldJob(2)]
  add(one)
  add(two)
  await quiet()
  suspects.ended(one)
  await quiet()
  assert.deepEqual(ran, [one, two])
  assert.ok(observer.take('recordUnavailable').length >= 1)
})

test('a suspect that is taken out while it was being chosen does not run, and the next one does', async () => {
  const { broker, ran, suspects, add, quiet } = createSuspects()
  broker.writeGate = new Gate()
  const [one, two, three] = [heldJob(1), heldJob(2), heldJob(3)]
  one.hasRecord = true
  for (const job of [one, two, three]) add(job)
  await quiet()
  for (let marks = 0; marks < 2; marks += 1) await broker.writeGate.open()
  assert.equal(broker.take().at(-1), 'write 1 released=0 failures=0', 'it is chosen, its mark goes')
  suspects.remove(one)
  suspects.remove(one)
  while (broker.writeGate.waiting > 0) await broker.writeGate.open()
  assert.deepEqual(ran, [two])
})

test('a drain gets everything that waits, and nothing runs after it', async () => {
  const { ran, suspects, add, quiet } = createSuspects()
  const [one, two, three] = [heldJob(1), heldJob(2), heldJob(3)]
  for (const job of [one, two, three]) add(job)
  await quiet()
  assert.deepEqual(suspects.takeAll(), [two, three])
  suspects.ended(one)
  await quiet()
  assert.deepEqual(ran, [one])
})

test('the first suspect waits until no other has arrived for 100 ms, and their marks are stored', async () => {
  const { broker, clock, ran, add } = createSuspects()
  broker.writeGate = new Gate()
  const [one, two, three] = [heldJob(1), heldJob(2), heldJob(3)]
  add(one)
  await clock.pass(60)
  add(two)
  await clock.pass(60)
  add(three)
  await clock.pass(99)
  await broker.writeGate.open()
  assert.deepEqual(ran, [])
  await clock.pass(1)
  assert.deepEqual(ran, [])
  await broker.writeGate.open()
  assert.deepEqual(ran, [one])
})

test('suspects that keep arriving put the first one off for a second at most', async () => {
  const { clock, ran, add } = createSuspects()
  for (let sequence = 1; sequence <= 40; sequence += 1) {
    add(heldJob(sequence))
    await clock.pass(50)
    if (clock.monotonicMs() >= 1_000) assert.ok(ran.length > 0)
  }
})

test('a suspect that arrives while others run holds up none of them', async () => {
  const { ran, suspects, add, quiet } = createSuspects()
  const [one, two, three] = [heldJob(1), heldJob(2), heldJob(3)]
  for (const job of [one, two]) add(job)
  await quiet()
  add(three)
  suspects.ended(one)
  await settled()
  assert.deepEqual(ran, [one, two])
})

test('a job whose record is still being read may become a suspect, and is waited for', async () => {
  const { clock, ran, suspects, add } = createSuspects()
  const reading = new Gate()
  suspects.expect(reading.enter())
  const one = heldJob(1)
  add(one)
  await clock.pass(1_000)
  assert.deepEqual(ran, [])
  await reading.open()
  await settled()
  assert.deepEqual(ran, [one])
})

function heldJobs(count: number, from = 1): InFlightJob[] {
  return Array.from({ length: count }, (_, index) => heldJob(from + index))
}

test('of many suspects as many as the square root of their number run side by side', async () => {
  const { ran, suspects, add, quiet } = createSuspects()
  for (const job of heldJobs(20)) add(job)
  await quiet()
  assert.equal(ran.length, 5)
  for (const job of ran.slice(0, 2)) suspects.ended(job)
  await quiet()
  // Of eighteen, five.
  assert.equal(ran.length, 7)
  // The last eight begin when nothing runs, one by one.
  for (const job of ran.slice(2)) suspects.ended(job)
  for (let ended = 7; ended < 20; ) {
    await quiet()
    const running = ran.slice(ended)
    assert.ok(
      running.length <= Math.max(1, Math.ceil(Math.sqrt(20 - ended))),
      `${running.length} of ${20 - ended}`,
    )
    if (20 - ended <= 8) assert.ok(running.length <= 1 || running.every(({ sharesPlace }) => sharesPlace))
    assert.ok(running.length > 0)
    for (const job of running) suspects.ended(job)
    ended += running.length
  }
  assert.equal(ran.length, 20)
})

test('G5: who might die of the company that it keeps runs alone', async () => {
  const makeLone: ((job: InFlightJob) => void)[] = [
    (job) => {
      job.maxAttempts = job.attempt
    },
    (job) => {
      job.unexplained = 2
    },
    (job) => {
      job.sharesPlace = true
    },
    (job) => {
      job.recordUnread = true
    },
  ]
  for (const make of makeLone) {
    const { ran, suspects, add, quiet } = createSuspects()
    const jobs = heldJobs(20)
    const [lone, ...others] = jobs as [InFlightJob, ...InFlightJob[]]
    make(lone)
    for (const job of [...others.slice(0, 3), lone, ...others.slice(3)]) add(job)
    await quiet()
    assert.equal(ran.length, 5)
    assert.ok(!ran.includes(lone))
    // It is the first of those that wait now.
    for (const job of ran.slice(0, 4)) suspects.ended(job)
    await quiet()
    assert.equal(ran.length, 5)
    suspects.ended(ran[4]!)
    await quiet()
    assert.deepEqual(ran.slice(5), [lone])
    suspects.ended(lone)
    await quiet()
    assert.equal(ran.length, 6 + 4)
  }
})

test('what somebody else has settled leaves its place to others of the same choice', async () => {
  const { broker, ran, gone, add, quiet } = createSuspects()
  const jobs = heldJobs(20)
  broker.settledElsewhere.add(jobs[1]!.sequence)
  for (const job of jobs) add(job)
  await quiet()
  assert.deepEqual(gone, [jobs[1]])
  assert.equal(ran.length, 5)
})
