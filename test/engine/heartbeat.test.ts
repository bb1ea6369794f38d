import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Heartbeat } from '#src/engine/heartbeat.js'
import { InFlight } from '#src/engine/in-flight.js'
import type { InFlightJob } from '#src/engine/in-flight-job.js'
import { FakeBroker, Gate, heldJob, ManualClock, settled } from '../support/fake-engine-parts.ts'

const ackWaitMs = 30_000

function createHeartbeat() {
  const clock = new ManualClock()
  const broker = new FakeBroker()
  const inFlight = new InFlight()
  const lost: InFlightJob[] = []
  const late: number[] = []
  const heartbeat = new Heartbeat({
    broker,
    clock,
    inFlight,
    ackWaitMs,
    lost: (job) => {
      job.leaseLost = true
      lost.push(job)
    },
    late: (lateMs) => late.push(lateMs),
  })
  const hold = (sequence: number) => {
    const job = heldJob(sequence, { now: clock.monotonicMs() })
    inFlight.add(job)
    return job
  }
  return { clock, broker, inFlight, heartbeat, lost, late, hold }
}

test('everything held is renewed every third of the ack wait, with one barrier behind it', async () => {
  const { clock, broker, heartbeat, lost, hold } = createHeartbeat()
  heartbeat.start()
  const jobs = [hold(1), hold(2)]
  await clock.pass(10_000)
  assert.deepEqual(broker.take(), ['extend r1.1', 'extend r2.1', 'barrier'])
  assert.deepEqual(
    jobs.map((job) => job.renewedAt),
    [10_000, 10_000],
  )
  await clock.pass(100_000)
  assert.deepEqual(broker.take('barrier').length, 20)
  assert.deepEqual(lost, [])
})

test('a job that has just arrived is left for the next beat', async () => {
  const { clock, broker, heartbeat, hold } = createHeartbeat()
  heartbeat.start()
  await clock.pass(6_000)
  hold(1)
  await clock.pass(4_000)
  assert.deepEqual(broker.take(), [])
  await clock.pass(10_000)
  assert.deepEqual(broker.take(), ['extend r1.1', 'barrier'])
})

test('a lease counts as renewed only once the barrier behind it has come back', async () => {
  const { clock, broker, heartbeat, hold } = createHeartbeat()
  broker.barrierGate = new Gate()
  const job = hold(1)
  await clock.pass(10_000)
  heartbeat.beat()
  assert.equal(job.renewedAt, 0)
  await clock.pass(2_000)
  await broker.barrierGate.open()
  // From when it was sent, not from when that was known.
  assert.equal(job.renewedAt, 10_000)
})

test('a barrier that fails or spans a reconnect renews nothing', async () => {
  const { clock, broker, heartbeat, hold } = createHeartbeat()
  broker.barrierGate = new Gate()
  const job = hold(1)
  await clock.pass(10_000)
  heartbeat.beat()
  await broker.barrierGate.refuse()
  assert.equal(job.renewedAt, 0)
  heartbeat.beat()
  broker.epoch += 1
  await broker.barrierGate.open()
  assert.equal(job.renewedAt, 0)
})

test('a proof that comes late does not overwrite the lease of a newer delivery', async () => {
  const { clock, broker, heartbeat, hold } = createHeartbeat()
  broker.barrierGate = new Gate()
  const job = hold(1)
  await clock.pass(10_000)
  heartbeat.beat()
  job.renewedAt = 15_000
  await broker.barrierGate.open()
  assert.equal(job.renewedAt, 15_000)
})

test('a delivery that was not renewed within the ack wait is lost, once, and never renewed again', async () => {
  const { clock, broker, heartbeat, lost, hold } = createHeartbeat()
  broker.connected = false
  heartbeat.start()
  const job = hold(1)
  await clock.pass(29_999)
  assert.deepEqual(lost, [])
  await clock.pass(1)
  assert.deepEqual(lost, [job])
  broker.connected = true
  await clock.pass(60_000)
  assert.deepEqual(lost, [job])
  assert.deepEqual(broker.take(), [])
})

test('a proof for a lease that had run out before it was sent does not revive it', async () => {
  const { clock, broker, heartbeat, lost, hold } = createHeartbeat()
  broker.connected = false
  const job = hold(1)
  await clock.pass(ackWaitMs)
  broker.connected = true
  heartbeat.beat()
  await settled()
  assert.deepEqual(lost, [job])
  assert.equal(job.renewedAt, 0)
})

test('a beat that is late by as much as leases can stand is told of', async () => {
  const { clock, heartbeat, lost, late, hold } = createHeartbeat()
  heartbeat.start()
  hold(1)
  await clock.pass(10_000)
  clock.holdUp(19_999)
  await clock.pass(10_000)
  assert.deepEqual(late, [])
  clock.holdUp(20_000)
  await clock.pass(10_000)
  assert.deepEqual([late, lost], [[10_000], []])
})

test('nothing beats after a stop', async () => {
  const { clock, broker, heartbeat, hold } = createHeartbeat()
  heartbeat.start()
  hold(1)
  heartbeat.stop()
  await clock.pass(60_000)
  assert.deepEqual(broker.take(), [])
  assert.equal(clock.timers, 0)
})
