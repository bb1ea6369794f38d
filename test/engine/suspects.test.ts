import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { InFlightJob } from '#src/engine/in-flight-job.js'
import { Suspects } from '#src/engine/suspects.js'
import { FakeBroker, FakeObserver, Gate, heldJob, settled } from '../support/fake-engine-parts.ts'

function createSuspects() {
  const broker = new FakeBroker()
  const observer = new FakeObserver()
  const ran: InFlightJob[] = []
  const suspects = new Suspects(broker, observer, (job) => ran.push(job))
  return { broker, observer, ran, suspects }
}

test('one suspect runs at a time, in the order of arrival', async () => {
  const { ran, suspects } = createSuspects()
  const [one, two, three] = [heldJob(1), heldJob(2), heldJob(3)]
  for (const job of [one, two, three]) suspects.add(job)
  await settled()
  assert.deepEqual(ran, [one])
  suspects.ended(one)
  await settled()
  assert.deepEqual(ran, [one, two])
  suspects.ended(two)
  await settled()
  assert.deepEqual(ran, [one, two, three])
})

test('the end of a job that is not the running suspect frees nothing', async () => {
  const { ran, suspects } = createSuspects()
  const [one, two] = [heldJob(1), heldJob(2)]
  suspects.add(one)
  suspects.add(two)
  await settled()
  suspects.ended(two)
  await settled()
  assert.deepEqual(ran, [one])
})

test('who waits is marked as not counting, and the mark goes before its own turn', async () => {
  const { broker, ran, suspects } = createSuspects()
  const [one, two] = [heldJob(1), heldJob(2)]
  suspects.add(one)
  suspects.add(two)
  await settled()
  assert.deepEqual(broker.take(), ['write 2 released=1 failures=0'])
  suspects.ended(one)
  await settled()
  assert.deepEqual(broker.take(), ['write 2 released=0 failures=0'])
  assert.deepEqual(ran, [one, two])
  assert.equal(two.record.released, 0)
})

test('the next suspect does not run before the marks of those behind it are stored', async () => {
  const { broker, ran, suspects } = createSuspects()
  const [one, two, three] = [heldJob(1), heldJob(2), heldJob(3)]
  suspects.add(one)
  suspects.add(two)
  await settled()
  broker.writeGate = new Gate()
  suspects.add(three)
  suspects.ended(one)
  await settled()
  assert.deepEqual(broker.take(), ['write 2 released=1 failures=0', 'write 3 released=1 failures=0'])
  await broker.writeGate.open()
  assert.deepEqual(broker.take(), ['write 2 released=0 failures=0'])
  assert.deepEqual(ran, [one])
  await broker.writeGate.open()
  assert.deepEqual(ran, [one, two])
})

test('a suspect runs only once its own mark is taken back', async () => {
  const { broker, ran, suspects } = createSuspects()
  const [one, two] = [heldJob(1), heldJob(2)]
  suspects.add(one)
  suspects.add(two)
  await settled()
  broker.writeGate = new Gate()
  suspects.ended(one)
  await settled()
  assert.deepEqual(ran, [one])
  await broker.writeGate.open()
  assert.deepEqual(ran, [one, two])
})

test('a bucket that cannot be reached holds nobody up', async () => {
  const { broker, observer, ran, suspects } = createSuspects()
  broker.bucketError = new Error('no bucket')
  const [one, two] = [heldJob(1), heldJob(2)]
  suspects.add(one)
  suspects.add(two)
  await settled()
  suspects.ended(one)
  await settled()
  assert.deepEqual(ran, [one, two])
  assert.ok(observer.take('recordUnavailable').length >= 1)
})

test('a suspect that is taken out while it was being chosen does not run, and the next one does', async () => {
  const { broker, ran, suspects } = createSuspects()
  broker.writeGate = new Gate()
  const [one, two, three] = [heldJob(1), heldJob(2), heldJob(3)]
  one.hasRecord = true
  for (const job of [one, two, three]) suspects.add(job)
  await settled()
  assert.ok(suspects.remove(one))
  assert.ok(!suspects.remove(one))
  while (broker.writeGate.waiting > 0) await broker.writeGate.open()
  assert.deepEqual(ran, [two])
})

test('a drain gets everything that waits, and nothing runs after it', async () => {
  const { ran, suspects } = createSuspects()
  const [one, two, three] = [heldJob(1), heldJob(2), heldJob(3)]
  for (const job of [one, two, three]) suspects.add(job)
  await settled()
  assert.deepEqual(suspects.takeAll(), [two, three])
  suspects.ended(one)
  await settled()
  assert.deepEqual(ran, [one])
})
