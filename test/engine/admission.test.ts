import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AttemptRecord } from '#src/core/attempt.js'
import { noRecord } from '#src/core/attempt.js'
import { Admission } from '#src/engine/admission.js'
import { OwnRecords } from '#src/engine/own-records.js'
import { ReplayFence } from '#src/engine/replay-fence.js'
import { TickFence } from '#src/engine/tick-fence.js'
import { FakeBroker, FakeObserver, heldJob, ManualClock } from '../support/fake-engine-parts.ts'
import { FakeTicks } from '../support/fake-ticks.ts'

/** The manual clock begins at this instant. */
const now = Date.UTC(2026, 0, 1)

function createAdmission() {
  const clock = new ManualClock()
  const broker = new FakeBroker()
  const observer = new FakeObserver()
  const ticks = new FakeTicks()
  const fence = new TickFence(ticks, clock, ticks)
  const ownRecords = new OwnRecords()
  const limits = { deadlineLimitMs: 60_000, attemptsLimit: 10 }
  const admission = new Admission({
    broker,
    clock,
    observer,
    limits,
    ownRecords,
    fence,
    isThere: (job) => broker.isStored(job.stream, job.sequence).catch(() => true),
    replayFence: new ReplayFence(broker, clock, observer),
    isCancelled: () => false,
  })
  return { clock, broker, observer, ownRecords, admission }
}

/** A job that has failed before. */
const failedTwice: AttemptRecord = {
  released: 0,
  failures: 2,
  history: [
    { attempt: 1, outcome: 'failed', error_code: 'e1', error: 'first' },
    { attempt: 2, outcome: 'failed', error_code: 'e2', error: 'second' },
  ],
}

test('a first delivery runs at once as attempt 1, without reading anything', () => {
  const { broker, admission } = createAdmission()
  const job = heldJob(1)
  assert.deepEqual(admission.admit(job), { kind: 'run' })
  assert.equal(job.attempt, 1)
  assert.deepEqual(broker.take(), [])
})

test('G1: a job whose earlier deliveries the broker forgot goes on where its record says', async () => {
  const { broker, admission } = createAdmission()
  const dead = { reason: 'permanent', attempts: 1 } as const
  broker.records.set(1, { released: 0, failures: 0, history: [], dead })
  broker.records.set(2, failedTwice)
  broker.known.add(1).add(2).add(3)
  assert.deepEqual(await admission.admit(heldJob(1)), { kind: 'dead', error: undefined, ...dead })
  const failed = heldJob(2)
  assert.deepEqual(await admission.admit(failed), { kind: 'run' })
  assert.equal(failed.attempt, 3)
  const gone = heldJob(3)
  assert.deepEqual(await admission.admit(gone), { kind: 'run' })
  assert.equal(gone.attempt, 1)
})

test('the headers of a job override its handler', () => {
  const { observer, admission } = createAdmission()
  const job = heldJob(1, {
    headers: [
      ['Nats-Msg-Id', 'order-7'],
      ['millrace-deadline-ms', '5000'],
      ['MILLRACE-MAX-ATTEMPTS', '7'],
      ['Millrace-Enqueued-At', '2025-12-31T00:00:00Z'],
      ['Content-Type', 'text/plain'],
      ['X-Tag', 'a'],
      ['x-tag', 'b'],
    ],
  })
  assert.deepEqual(admission.admit(job), { kind: 'run' })
  assert.deepEqual(
    [job.id, job.deadlineMs, job.maxAttempts, job.enqueuedAt, job.json],
    ['order-7', 5_000, 7, Date.UTC(2025, 11, 31), false],
  )
  assert.equal(job.headers?.['x-tag'], 'a, b')
  assert.deepEqual(observer.take(), [])
})

test('headers named like the parts of an object are headers and nothing else', () => {
  const { admission } = createAdmission()
  const job = heldJob(1, {
    headers: [
      ['__proto__', 'x'],
      ['constructor', 'y'],
    ],
  })
  assert.deepEqual(admission.admit(job), { kind: 'run' })
  assert.deepEqual(Object.entries(job.headers!), [
    ['__proto__', 'x'],
    ['constructor', 'y'],
  ])
  assert.equal(Object.getPrototypeOf(job.headers), Object.prototype)
})

test('what a header asks for beyond the limits is clamped, and that is said', () => {
  const { observer, admission } = createAdmission()
  const job = heldJob(1, {
    headers: [
      ['Millrace-Deadline-Ms', '60001'],
      ['Millrace-Max-Attempts', '11'],
    ],
  })
  assert.deepEqual(admission.admit(job), { kind: 'run' })
  assert.deepEqual([job.deadlineMs, job.maxAttempts], [60_000, 10])
  assert.deepEqual(observer.take(), [
    'clamped JOBS:1 Millrace-Deadline-Ms 60001>60000',
    'clamped JOBS:1 Millrace-Max-Attempts 11>10',
  ])
})

test('a header that cannot be understood makes the job invalid, and so does a broken header block', () => {
  const { admission } = createAdmission()
  const odd = admission.admit(heldJob(1, { headers: [['Millrace-Deadline-Ms', '5s']] }))
  assert.deepEqual(odd, {
    kind: 'dead',
    reason: 'invalid',
    error: {
      code: 'invalid_header',
      message: 'Millrace-Deadline-Ms must be a whole number of at least 10, got "5s"',
    },
    attempts: 0,
  })
  const broken = admission.admit(heldJob(2, { headers: [], headerProblem: 'not a header block' }))
  assert.ok(
    !(broken instanceof Promise) && broken.kind === 'dead' && broken.error?.message === 'not a header block',
  )
})

test('an expired job is dead from that instant on', async () => {
  const { clock, admission } = createAdmission()
  const job = heldJob(1, { headers: [['Millrace-Expires-At', new Date(now + 1_000).toISOString()]] })
  await clock.pass(999)
  assert.deepEqual(admission.admit(job), { kind: 'run' })
  await clock.pass(1)
  const late = admission.admit(job)
  assert.ok(!(late instanceof Promise) && late.kind === 'dead')
  assert.deepEqual([late.reason, late.error?.code, late.attempts], ['expired', 'expired', 0])
})

test('a job that must not start yet waits until it may', async () => {
  const { clock, admission } = createAdmission()
  const job = heldJob(1, { headers: [['Millrace-Run-At', new Date(now + 1_000).toISOString()]] })
  assert.deepEqual(admission.admit(job), { kind: 'not_yet', dueAt: now + 1_000 })
  await clock.pass(1_000)
  assert.deepEqual(admission.admit(job), { kind: 'run' })
})

test('a job that expires before its time waits no longer than for its expiry, and never runs', async () => {
  const { clock, admission } = createAdmission()
  const runAt = ['Millrace-Run-At', new Date(now + 5_000).toISOString()] as const
  const expiresAt = ['Millrace-Expires-At', new Date(now + 2_000).toISOString()] as const
  const job = heldJob(1, { headers: [runAt, expiresAt] })
  assert.deepEqual(admission.admit(job), { kind: 'not_yet', dueAt: now + 2_000 })
  // The clock of whoever found it due may be ahead of ours.
  const moved = heldJob(2, { headers: [runAt, expiresAt, ['Millrace-Prior-Attempts', '0']] })
  const early = admission.admit(moved)
  assert.ok(!(early instanceof Promise) && early.kind === 'dead' && early.reason === 'expired')
  await clock.pass(2_000)
  const late = admission.admit(job)
  assert.ok(!(late instanceof Promise) && late.kind === 'dead' && late.reason === 'expired')
})

test('a job that was moved here is due, whatever our clock says, and has its attempts of before', async () => {
  const { broker, admission } = createAdmission()
  const headers = [
    ['Millrace-Run-At', new Date(now + 60_000).toISOString()],
    ['Millrace-Prior-Attempts', '1'],
    ['Millrace-Prior-History', '[{"attempt":1,"outcome":"failed"}]'],
    ['X-App', 'x'],
  ] as const
  const job = heldJob(1, { headers })
  assert.deepEqual(admission.admit(job), { kind: 'run' })
  assert.deepEqual([job.attempt, job.record.history.length], [2, 1])
  assert.deepEqual(Object.keys(job.headers!), ['millrace-run-at', 'x-app'])
  broker.records.set(1, { released: 1, failures: 0, history: [] })
  const again = heldJob(1, { headers, deliveries: 2 })
  assert.deepEqual(await admission.admit(again), { kind: 'run' })
  assert.deepEqual([again.attempt, again.record.history.length], [2, 1])
})

test('a redelivered job whose past is all on record runs with its attempt number', async () => {
  const { broker, admission } = createAdmission()
  broker.records.set(1, { ...failedTwice, released: 3 })
  const job = heldJob(1, { deliveries: 6 })
  assert.deepEqual(await admission.admit(job), { kind: 'run' })
  assert.equal(job.attempt, 3)
  assert.equal(job.hasRecord, true)
})

test('a delivery that ended without a trace makes the job a suspect', async () => {
  const { admission } = createAdmission()
  const job = heldJob(1, { deliveries: 2 })
  assert.deepEqual(await admission.admit(job), { kind: 'suspect' })
  assert.equal(job.attempt, 2)
  assert.equal(job.hasRecord, false)
  assert.equal(job.record, noRecord)
})

test('a bucket that cannot be reached leaves the delivery count to decide', async () => {
  const { broker, observer, admission } = createAdmission()
  broker.bucketError = new Error('no bucket')
  const job = heldJob(1, { deliveries: 2 })
  assert.deepEqual(await admission.admit(job), { kind: 'run' })
  assert.equal(job.attempt, 2)
  assert.ok(job.recordUnread)
  assert.deepEqual(observer.take(), ['recordUnavailable no bucket'])
})

test('a job is not given up on because the bucket did not answer for a moment', async () => {
  const { broker, clock, admission } = createAdmission()
  broker.records.set(1, { ...noRecord, released: 12 })
  broker.bucketError = new Error('timeout')
  const job = heldJob(1, { deliveries: 13 })
  const admitted = admission.admit(job)
  await clock.pass(2_000)
  broker.bucketError = undefined
  await clock.pass(500)
  assert.deepEqual(await admitted, { kind: 'run' })
  assert.equal(job.attempt, 1)
})

test('G5: a bucket that stays away lets the delivery count end a job after a while', async () => {
  const { broker, clock, admission } = createAdmission()
  broker.bucketError = new Error('no bucket')
  const admitted = admission.admit(heldJob(1, { deliveries: 4 }))
  await clock.pass(3_500)
  assert.equal((await admitted).kind, 'dead')
})

test('G5: a job whose attempts all ended without a trace is dead without being run again', async () => {
  const { admission } = createAdmission()
  const admitted = await admission.admit(heldJob(1, { deliveries: 4 }))
  assert.ok(admitted.kind === 'dead')
  assert.deepEqual(
    [admitted.reason, admitted.error?.code, admitted.attempts],
    ['crashed', 'process_crash', 3],
  )
  assert.match(admitted.error!.message, /^3 of 3 attempts ended without a trace/)
})

test('a job whose limit was lowered is given up on with the reason of its last attempt', async () => {
  const { broker, admission } = createAdmission()
  const lowered = { deliveries: 3, headers: [['Millrace-Max-Attempts', '2']] as const }
  const last = (outcome: string): AttemptRecord => ({
    ...failedTwice,
    history: [failedTwice.history[0]!, { ...failedTwice.history[1]!, outcome }],
  })
  const reasons: string[] = []
  for (const outcome of ['failed', 'timed_out', 'crashed']) {
    broker.records.set(1, last(outcome))
    const admitted = await admission.admit(heldJob(1, lowered))
    assert.ok(admitted.kind === 'dead')
    assert.equal(admitted.attempts, 2)
    reasons.push(`${admitted.reason} ${admitted.error?.code}`)
  }
  assert.deepEqual(reasons, ['exhausted e2', 'deadline e2', 'crashed process_crash'])
})

test('a job that was given up on before only gets its dead letter finished', async () => {
  const { broker, admission } = createAdmission()
  const dead = {
    reason: 'permanent' as const,
    attempts: 1,
    error: { code: 'permanent_failure', message: 'never' },
  }
  broker.records.set(1, { ...failedTwice, dead })
  const admitted = await admission.admit(heldJob(1, { deliveries: 2 }))
  assert.deepEqual(admitted, { kind: 'dead', ...dead })
})

test('an invalid or expired job that ran before says how often', async () => {
  const { broker, admission } = createAdmission()
  broker.records.set(1, failedTwice)
  const expired = { deliveries: 3, headers: [['Millrace-Expires-At', '2020-01-01T00:00:00Z']] as const }
  const admitted = await admission.admit(heldJob(1, expired))
  assert.ok(admitted.kind === 'dead')
  assert.deepEqual([admitted.reason, admitted.attempts], ['expired', 2])
})

test('a job that would be given up on, and that somebody has settled meanwhile, is gone', async () => {
  const { broker, admission } = createAdmission()
  broker.settledElsewhere.add(1)
  const job = heldJob(1, { deliveries: 9 })
  assert.deepEqual(await admission.admit(job), { kind: 'gone' })
  broker.settledElsewhere.clear()
  const again = await admission.admit(heldJob(1, { deliveries: 9 }))
  assert.equal(again.kind === 'dead' && again.reason, 'crashed')
})

test('a dead letter that was decided on and stored since is not stored again', async () => {
  const { broker, admission } = createAdmission()
  broker.records.set(1, { ...failedTwice, dead: { reason: 'permanent', attempts: 2 } })
  broker.settledElsewhere.add(1)
  assert.deepEqual(await admission.admit(heldJob(1, { deliveries: 3 })), { kind: 'gone' })
})
