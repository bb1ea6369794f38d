import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodePosition, encodePosition } from '#src/core/job-position.js'
import { InFlight } from '#src/engine/in-flight.js'
import { Locator } from '#src/engine/locator.js'
import { FakeLane, handlerState, heldJob, ManualClock } from '../support/fake-engine-parts.ts'

function createLocator(examines = true) {
  const clock = new ManualClock()
  const inFlight = new InFlight()
  const lane = new FakeLane(clock, { threadId: 7 })
  const job = heldJob(42, { handler: handlerState({ name: 'email.send', deadlineMs: 30_000 }) })
  job.id = 'order-7'
  job.attempt = 1
  inFlight.add(job)
  const locator = new Locator({ clock, inFlight, supervisorId: 'abc', examines })
  return { clock, inFlight, lane, job, locator }
}

test('a running job is found by its id and by its place, with its thread and its time', async () => {
  const { clock, lane, job, locator } = createLocator()
  lane.put(job)
  lane.begin(job)
  await clock.pass(1_200)
  const asked = locator.locate('order-7')
  lane.examined[0]!.found({ kind: 'running', stack: ['f (a.ts:1:2)'] })
  const position = await asked
  assert.deepEqual(position, {
    jobId: 'order-7',
    handler: 'email.send',
    attempt: 1,
    maxAttempts: 3,
    supervisor: 'abc',
    state: 'running',
    thread: 7,
    elapsedMs: 1_200,
    deadlineMs: 30_000,
    abort: undefined,
    where: { kind: 'running', stack: ['f (a.ts:1:2)'] },
  })
  assert.deepEqual(decodePosition(encodePosition(position!)), position)
  void locator.locate('JOBS:42')
  assert.equal(lane.examined.length, 2)
  assert.equal(await locator.locate('JOBS:43'), undefined)
})

test('a job that another held up at one look is looked at twice', async () => {
  const { lane, job, locator } = createLocator()
  lane.put(job)
  lane.begin(job)
  const asked = locator.locate('order-7')
  lane.examined[0]!.found({ kind: 'behind', stack: ['g (b.ts:1:1)'] })
  await Promise.resolve()
  await Promise.resolve()
  lane.examined[1]!.found({ kind: 'waiting', resources: {} })
  assert.deepEqual((await asked)?.where, { kind: 'waiting', resources: {} })
})

test('a job that ends while its thread is asked is not here, whatever the thread says', async () => {
  const { lane, job, locator } = createLocator()
  lane.put(job)
  lane.begin(job)
  const asked = locator.locate('order-7')
  lane.remove(job)
  lane.examined[0]!.found({ kind: 'running', stack: ['other (b.ts:1:1)'] })
  assert.equal(await asked, undefined)
})

test('a job that waits here is held, and no thread is asked for it, nor when that is switched off', async () => {
  const { lane, job, locator } = createLocator()
  const held = await locator.locate('order-7')
  assert.deepEqual(
    [held?.state, held?.thread, held?.elapsedMs, held?.where],
    ['held', undefined, undefined, undefined],
  )
  assert.deepEqual(decodePosition(encodePosition(held!)), held)
  lane.put(job)
  assert.equal((await locator.locate('order-7'))?.state, 'held', 'it was posted and has not begun')
  assert.equal(lane.examined.length, 0)

  const off = createLocator(false)
  off.lane.put(off.job)
  off.lane.begin(off.job)
  assert.deepEqual((await off.locator.locate('order-7'))?.where, { kind: 'unknown' })
  assert.equal(off.lane.examined.length, 0)
})

test('what is no position is none', () => {
  for (const odd of [
    '',
    'null',
    '[]',
    '{"job_id":"a"}',
    '{"job_id":"a","handler":"b","supervisor":"c","state":"gone"}',
  ])
    assert.equal(decodePosition(odd), undefined)
})
