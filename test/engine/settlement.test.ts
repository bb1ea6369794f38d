import assert from 'node:assert/strict'
import { test } from 'node:test'
import { noRecord } from '#src/core/attempt.js'
import { Finished } from '#src/engine/finished.js'
import { InFlight } from '#src/engine/in-flight.js'
import type { InFlightJob } from '#src/engine/in-flight-job.js'
import { Marks } from '#src/engine/marks.js'
import { OwnRecords } from '#src/engine/own-records.js'
import { Receipts } from '#src/engine/receipts.js'
import { Settlement } from '#src/engine/settlement.js'
import {
  ackWaitMs,
  FakeBroker,
  FakeObserver,
  Gate,
  heldJob,
  ManualClock,
  settled,
} from '../support/fake-engine-parts.ts'

function createSettlement() {
  const clock = new ManualClock()
  const broker = new FakeBroker()
  const observer = new FakeObserver()
  const inFlight = new InFlight()
  const finished = new Finished()
  const receipts = new Receipts(broker, clock, observer)
  const ownRecords = new OwnRecords()
  const parts = { broker, clock, observer, inFlight, finished, receipts, ownRecords }
  const settlement = new Settlement({ ...parts, ackWaitMs })
  const hold = (sequence: number, options: Parameters<typeof heldJob>[1] = {}): InFlightJob => {
    const job = heldJob(sequence, { now: clock.monotonicMs(), ...options })
    job.attempt = job.deliveries
    inFlight.add(job)
    return job
  }
  return { ...parts, settlement, hold }
}

const entry = { attempt: 1, outcome: 'failed', error: 'no luck' }
const error = { code: 'handler_error', message: 'no luck' }

test('a completed job is acked, remembered and no longer held, in one step', () => {
  const { broker, observer, inFlight, finished, settlement, hold } = createSettlement()
  settlement.ack(hold(1))
  assert.deepEqual(broker.take(), ['ack r1.1'])
  assert.ok(finished.has('JOBS', 1, Date.UTC(2026, 0, 1)))
  assert.equal(inFlight.size, 0)
  assert.deepEqual(observer.take(), ['settled JOBS:1 ack'])
})

test('G4: a record outlives a lost ack of its job, and goes when none can be', async () => {
  const { clock, broker, settlement, hold } = createSettlement()
  const job = hold(1)
  await settlement.retry(job, 0, entry)
  await clock.pass(25)
  settlement.ack(job)
  await clock.pass(4 * ackWaitMs - 1)
  assert.ok(!broker.take().includes('forget 1'))
  await clock.pass(1)
  assert.ok(broker.take().includes('forget 1'))
})

test('at a stop the records of completed jobs go behind their acks, those of dead ones stay', async () => {
  const { broker, settlement, hold } = createSettlement()
  const [one, two, three] = [hold(1), hold(2), hold(3)]
  one.hasRecord = true
  three.hasRecord = true
  settlement.ack(one)
  await settlement.deadLetter(two, 'permanent', error, 1)
  broker.take()
  settlement.stop()
  await settled()
  settlement.ack(three)
  assert.deepEqual(broker.take('barrier'), ['forget 1', 'ack r3.1', 'forget 3'])
})

test('G1: the record of a dead job outlives a lost ack, and goes when none can be', async () => {
  const { clock, broker, settlement, hold } = createSettlement()
  await settlement.deadLetter(hold(1), 'permanent', error, 1)
  assert.deepEqual(broker.take('write'), ['dead 1 permanent', 'ack r1.1'])
  await clock.pass(2 * ackWaitMs)
  await settlement.deadLetter(hold(2), 'permanent', error, 1)
  await settlement.deadLetter(hold(3, { stream: 'JOBS_HIGH' }), 'permanent', error, 1)
  await clock.pass(2 * ackWaitMs - 1)
  assert.ok(broker.records.has(1))
  await clock.pass(1)
  assert.deepEqual([...broker.records.keys()], [2, 3])
  settlement.forget('JOBS')
  await clock.pass(2 * ackWaitMs)
  assert.deepEqual([...broker.records.keys()], [2], "that place is another job's now")
  await settlement.deadLetter(hold(4), 'permanent', error, 1)
  await clock.pass(100)
  settlement.stop()
  assert.equal(clock.timers, 0)
})

function settleMany(parts: ReturnType<typeof createSettlement>) {
  const { broker, settlement, hold } = parts
  const removed = () => broker.take().filter((call) => call.startsWith('forget'))
  const settle = (sequence: number, isDead = false) => {
    const job = hold(sequence)
    job.hasRecord = true
    if (isDead) job.record = { ...job.record, dead: { reason: 'permanent', attempts: 1 } }
    settlement.ack(job)
  }
  return { ...parts, removed, settle }
}

test('records are removed a hundred at a time, the next when the broker has taken those', async () => {
  const { clock, broker, removed, settle } = settleMany(createSettlement())
  broker.forgetGate = new Gate()
  for (let sequence = 1; sequence <= 250; sequence += 1) settle(sequence)
  await clock.pass(4 * ackWaitMs)
  const counts: number[] = []
  for (let calls = removed(); calls.length > 0; calls = removed()) {
    counts.push(calls.length)
    await settled()
    assert.deepEqual(removed(), [])
    await broker.forgetGate.open()
    await settled()
  }
  assert.deepEqual(counts, [100, 100, 50])
  assert.equal(clock.timers, 0)
})

test('every record is removed once, and none while the broker is away', async () => {
  const { clock, broker, removed, settle } = settleMany(createSettlement())
  const all = Array.from({ length: 2_500 }, (_, index) => index + 1)
  for (const sequence of all) settle(sequence)
  broker.connected = false
  await clock.pass(4 * ackWaitMs)
  assert.deepEqual(removed(), [])
  broker.connected = true
  await clock.pass(1_000)
  for (let turns = 0; turns < 30; turns += 1) await settled()
  assert.deepEqual(
    removed(),
    all.map((sequence) => `forget ${sequence}`),
  )
})

test('a stop removes what is left, and waits for that, but for the records of dead jobs', async () => {
  const { broker, settlement, removed, settle } = settleMany(createSettlement())
  for (let sequence = 1; sequence <= 2_500; sequence += 1) settle(sequence, sequence === 7)
  broker.forgetGate = new Gate()
  settlement.stop()
  assert.equal(removed().length, 1_000)
  settle(2_501, true)
  settle(2_502)
  let over = false
  void settlement.recordsRemoved().then(() => {
    over = true
  })
  const counts: number[] = []
  while (!over) {
    await broker.forgetGate.open()
    await settled()
    counts.push(removed().length)
  }
  assert.deepEqual(counts, [1_000, 500, 0])
  settle(2_503, true)
  assert.deepEqual(removed(), [])
})

test('of many records the oldest go before their time, but not those of dead jobs', async () => {
  const { broker, removed, settle } = settleMany(createSettlement())
  settle(1, true)
  for (let sequence = 2; sequence <= 20_000; sequence += 1) settle(sequence)
  assert.deepEqual(removed(), [])
  broker.forgetGate = new Gate()
  for (let sequence = 20_001; sequence <= 20_003; sequence += 1) settle(sequence)
  assert.deepEqual(removed(), ['forget 2'], 'the others when it is gone')
  // A broker that takes none for long: what is beyond twice as many expires.
  for (let sequence = 20_004; sequence <= 40_103; sequence += 1) settle(sequence)
  await broker.forgetGate.open()
  await settled()
  const after = removed()
  assert.deepEqual([after.length, after[0]], [100, 'forget 104'])
})

test('a record that could not be read is not replaced: what happened since is added to it', async () => {
  const { clock, broker, settlement, hold } = createSettlement()
  const job = hold(1, { deliveries: 52 })
  const earlier = { released: 50, failures: 1, history: [entry], repeats: 2 }
  broker.records.set(1, earlier)
  job.recordUnread = true
  broker.bucketError = new Error('no bucket')
  const released = settlement.release(job, 0)
  await clock.pass(10_000)
  await released
  assert.deepEqual(broker.records.get(1), earlier)
  broker.bucketError = undefined
  const again = hold(1, { deliveries: 53 })
  again.recordUnread = true
  await settlement.retry(again, 0, { ...entry, attempt: 2 })
  assert.deepEqual(broker.records.get(1), {
    released: 50,
    failures: 2,
    history: [entry, { ...entry, attempt: 2 }],
    repeats: 2,
    dueAt: clock.now(),
  })
  const third = hold(2, { deliveries: 2 })
  third.recordUnread = true
  await settlement.release(third, 0)
  assert.deepEqual(broker.records.get(2), { released: 1, failures: 0, history: [] })
})

test('a retry is written down before it is given back, and held until then', async () => {
  const { broker, observer, inFlight, settlement, hold } = createSettlement()
  broker.writeGate = new Gate()
  const retried = settlement.retry(hold(1), 1_000, entry)
  await settled()
  assert.deepEqual(broker.take(), ['write 1 released=0 failures=1'])
  assert.equal(inFlight.size, 1)
  await broker.writeGate.open()
  await retried
  assert.deepEqual(broker.take(), ['nak r1.1 1000'])
  assert.equal(inFlight.size, 0)
  assert.deepEqual(broker.records.get(1)?.history, [entry])
  assert.deepEqual(observer.take(), ['settled JOBS:1 retry'])
})

test('a release says first that this delivery does not count', async () => {
  const { broker, observer, settlement, hold } = createSettlement()
  await settlement.release(hold(1), 0)
  assert.deepEqual(broker.take(), ['write 1 released=1 failures=0', 'nak r1.1 0'])
  assert.deepEqual(observer.take(), ['settled JOBS:1 release'])
})

test('delayed naks of a moment go together, an immediate one does not wait for them', async () => {
  const { clock, broker, settlement, hold } = createSettlement()
  await settlement.retry(hold(1), 1_000, entry)
  await settlement.retry(hold(2), 1_000, entry)
  await settlement.release(hold(3), 5_000)
  await settlement.release(hold(4), 0)
  assert.deepEqual(broker.take('write'), ['nak r1.1 1000', 'nak r4.1 0'])
  await clock.pass(25)
  assert.deepEqual(broker.take('write', 'barrier'), ['nak r2.1 1000', 'nak r3.1 5000'])
})

test('a bucket that cannot be reached delays no settlement', async () => {
  const { broker, observer, settlement, hold } = createSettlement()
  broker.bucketError = new Error('no bucket')
  await settlement.retry(hold(1), 1_000, entry)
  assert.deepEqual(broker.take('write'), ['nak r1.1 1000'])
  assert.deepEqual(observer.take('recordUnavailable'), ['recordUnavailable no bucket'])
})

test('a dead letter is decided on record, then stored, then acked', async () => {
  const { broker, observer, inFlight, settlement, hold } = createSettlement()
  broker.writeGate = new Gate()
  broker.letterGate = new Gate()
  const job = hold(1, { data: Buffer.from('bytes'), headers: [['traceparent', 't']] })
  const dead = settlement.deadLetter(job, 'permanent', { ...error, stack: 'secret path' }, 1)
  await settled()
  assert.deepEqual(broker.take(), ['write 1 released=0 failures=0'])
  await broker.writeGate.open()
  assert.deepEqual(broker.records.get(1)?.dead, { reason: 'permanent', attempts: 1, error })
  assert.deepEqual(broker.take(), ['dead 1 permanent'])
  assert.equal(inFlight.size, 1)
  await broker.letterGate.open()
  await dead
  assert.deepEqual(broker.take(), ['ack r1.1'])
  assert.equal(inFlight.size, 0)
  const [stored] = broker.letters
  assert.equal(Buffer.from(stored!.data).toString(), 'bytes')
  assert.deepEqual(stored!.headers[0], ['traceparent', 't'])
  assert.equal(stored!.letter.attempts, 1)
  assert.deepEqual(observer.take(), [
    'settled JOBS:1 dead_letter',
    'deadLettered JOBS:1 permanent handler_error',
  ])
})

test('G1: a refused dead letter is tried again, ever less often but every 5 s, and acked only when stored', async () => {
  const { clock, broker, inFlight, settlement, hold } = createSettlement()
  broker.refusals = 9
  const dead = settlement.deadLetter(hold(1), 'exhausted', error, 3)
  const triedAt: number[] = []
  for (let at = 0; at < 26_200; at += 100) {
    await clock.pass(at === 0 ? 0 : 100)
    if (broker.take('write').some((call) => call.startsWith('dead'))) triedAt.push(clock.monotonicMs())
    assert.equal(inFlight.size, 1, 'the job stays held, so that its lease is renewed')
  }
  assert.deepEqual(triedAt, [0, 200, 600, 1_400, 3_000, 6_200, 11_200, 16_200, 21_200])
  await clock.pass(100)
  await dead
  assert.deepEqual(broker.take(), ['dead 1 exhausted', 'ack r1.1'])
  assert.equal(inFlight.size, 0)
})

test('G9: a decision that could not be put on record is written while its dead letter waits', async () => {
  const { clock, broker, settlement, hold } = createSettlement()
  broker.refusals = 2
  broker.bucketError = new Error('away')
  const dead = settlement.deadLetter(hold(1), 'exhausted', error, 3)
  await settled()
  assert.equal(broker.records.get(1), undefined)
  broker.bucketError = undefined
  await clock.pass(200)
  assert.equal(broker.records.get(1)?.dead?.reason, 'exhausted')
  broker.take()
  await clock.pass(400)
  await dead
  assert.deepEqual(broker.take(), ['dead 1 exhausted', 'ack r1.1'], 'once is enough')
})

test('a job of a stream that is gone leaves no decision to the job that has its place', async () => {
  const { clock, broker, settlement, hold } = createSettlement()
  broker.refusals = 3
  broker.bucketError = new Error('away')
  const job = hold(1)
  const dead = settlement.deadLetter(job, 'exhausted', error, 3)
  await settled()
  broker.bucketError = undefined
  job.orphaned = true
  await clock.pass(2_000)
  await dead
  assert.equal(broker.records.get(1), undefined)
})

test('a stop does not wait for a bucket that does not answer', async () => {
  const { clock, broker, inFlight, settlement, hold } = createSettlement()
  broker.refusals = 99
  broker.bucketError = new Error('away')
  const dead = settlement.deadLetter(hold(1), 'exhausted', error, 3)
  await settled()
  broker.bucketError = undefined
  broker.writeGate = new Gate()
  await clock.pass(200)
  broker.take()
  settlement.stop()
  await dead
  assert.deepEqual(broker.take(), ['dead 1 exhausted', 'nak r1.1 0'])
  assert.equal(inFlight.size, 0)
})

test('G1: a stop while the dead letter is refused gives the job back with the decision on record', async () => {
  const { broker, observer, inFlight, settlement, hold } = createSettlement()
  broker.refusals = 99
  const dead = settlement.deadLetter(hold(1), 'exhausted', error, 3)
  await settled()
  broker.take()
  settlement.stop()
  await dead
  assert.deepEqual(broker.take(), ['dead 1 exhausted', 'nak r1.1 0'])
  assert.equal(broker.records.get(1)?.dead?.reason, 'exhausted')
  assert.equal(inFlight.size, 0)
  assert.deepEqual(observer.take('settled', 'deadLettered'), [])
})

test('a stop sends the naks that were waiting for their burst', async () => {
  const { broker, settlement, hold } = createSettlement()
  await settlement.retry(hold(1), 1_000, entry)
  await settlement.retry(hold(2), 1_000, entry)
  broker.take()
  settlement.stop()
  assert.deepEqual(broker.take(), ['nak r2.1 1000'])
})

test('what a lost lease leaves is never naked, and no longer held', async () => {
  const { clock, broker, inFlight, settlement, hold } = createSettlement()
  const [marked, unmarked] = [hold(1), hold(2)]
  marked.leaseLost = true
  await settlement.retry(marked, 0, entry)
  await clock.pass(ackWaitMs)
  // Nobody has noticed yet, but the time is over.
  await settlement.release(unmarked, 0)
  assert.deepEqual(broker.take('write', 'barrier'), [])
  assert.equal(inFlight.size, 0)
})

test('a lease that is lost while the record is written prevents the nak', async () => {
  const { broker, settlement, hold } = createSettlement()
  broker.writeGate = new Gate()
  const job = hold(1)
  const released = settlement.release(job, 0)
  await settled()
  job.leaseLost = true
  await broker.writeGate.open()
  await released
  assert.deepEqual(broker.take('write'), [])
})

test('an ack is right after the lease was lost, also behind a dead letter', async () => {
  const { broker, settlement, hold } = createSettlement()
  const [one, two] = [hold(1), hold(2)]
  one.leaseLost = true
  two.leaseLost = true
  settlement.ack(one)
  await settlement.deadLetter(two, 'exhausted', error, 3)
  assert.deepEqual(broker.take('write', 'forget'), ['ack r1.1', 'dead 2 exhausted', 'ack r2.1'])
})

test('the settlement goes to the newest delivery of a job that was delivered again meanwhile', async () => {
  const { broker, settlement, hold } = createSettlement()
  broker.letterGate = new Gate()
  const job = hold(1)
  const dead = settlement.deadLetter(job, 'exhausted', error, 3)
  await settled()
  job.reply = 'r1.2'
  await broker.letterGate.open()
  await dead
  assert.ok(broker.take().includes('ack r1.2'))
})

test('letting go of a delivery says nothing to the broker; one that never began is recorded as not counting', async () => {
  const { broker, inFlight, settlement, hold } = createSettlement()
  await settlement.abandon(hold(1), true)
  assert.deepEqual(broker.take(), [])
  await settlement.abandon(hold(2), false)
  assert.deepEqual(broker.take(), ['release 2'])
  assert.equal(inFlight.size, 0)
})

test('G4 G5: letting go of a job writes the releases that its record lacks, and none twice', async () => {
  const { broker, settlement, hold } = createSettlement()
  const letGo = async (
    counted: boolean,
    released: number,
    storedReleases: number,
    more: Partial<InFlightJob> = {},
  ): Promise<string[]> => {
    const job = Object.assign(hold(1), { record: { ...noRecord, released }, storedReleases }, more)
    await settlement.abandon(job, counted)
    return broker.take()
  }
  assert.deepEqual(await letGo(true, 2, 2), [])
  assert.deepEqual(await letGo(false, 2, 2), ['release 1'])
  assert.deepEqual(await letGo(true, 3, 1), ['release 1 × 2'])
  assert.deepEqual(await letGo(false, 3, 1), ['release 1 × 3'])
  assert.deepEqual(await letGo(false, 3, 1, { betweenAttempts: true }), ['release 1 × 2'])
  assert.deepEqual(await letGo(false, 2, 3, { isMarked: true }), [])
  assert.deepEqual(await letGo(true, 1, 2), [])
  assert.deepEqual(await letGo(false, 3, 1, { orphaned: true }), [])
})

test('G4 G5: a record of which nobody knows whether it was stored counts as stored', async () => {
  const { clock, broker, settlement, hold } = createSettlement()
  const job = hold(1)
  job.record = { ...noRecord, released: 1 }
  broker.bucketError = new Error('no answer')
  await settlement.hold(job, 0, entry)
  await settlement.abandon(job, true)
  assert.deepEqual(broker.take(), ['write 1 released=1 failures=1'])

  // A mark that was to be taken back may still be there.
  const marked = hold(2)
  const marks = new Marks(broker, new FakeObserver())
  broker.bucketError = undefined
  marks.mark(marked)
  await marks.stored()
  broker.bucketError = new Error('no answer')
  await marks.clear(marked)
  broker.bucketError = undefined
  await settlement.abandon(marked, false)
  assert.ok(!broker.take().includes('release 2'))
  await clock.pass(1)
})

test('G4: what comes again while the record of its job is written is written, too', async () => {
  const { clock, broker, settlement, hold } = createSettlement()
  const job = hold(1)
  const gate = new Gate()
  broker.writeGate = gate
  const retried = settlement.retry(job, 0, entry)
  await settled()
  job.record = { ...job.record, released: job.record.released + 1 }
  broker.writeGate = undefined
  await gate.open()
  await retried
  await clock.pass(25)
  assert.deepEqual(broker.take('barrier'), [
    'write 1 released=0 failures=1',
    'write 1 released=1 failures=1',
    'nak r1.1 0',
  ])
})

test('G4: a delivery that does not count is given back once that is on record, or when it never will be', async () => {
  const { clock, broker, settlement, hold } = createSettlement()
  broker.bucketError = new Error('no bucket')
  const released = settlement.release(hold(1), 0)
  await clock.pass(1_200)
  assert.deepEqual(broker.take('write'), [])
  broker.bucketError = undefined
  await clock.pass(500)
  await released
  assert.deepEqual(broker.take('write', 'barrier'), ['nak r1.1 0'])
  assert.equal(broker.records.get(1)?.released, 1)

  broker.bucketError = new Error('no bucket')
  const another = settlement.release(hold(2), 0)
  await clock.pass(10_000)
  await another
  assert.deepEqual(broker.take('write', 'barrier'), ['nak r2.1 0'])
})
