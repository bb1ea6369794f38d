import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { JobLog } from '#src/telemetry/job-log.js'
import type { Logger } from '#src/telemetry/logger.js'
import { heldJob } from '../support/fake-engine-parts.ts'

/** A log whose lines are counted by message, and a clock for it. */
function createLog(t: TestContext, mode: 'all' | 'auto' | 'errors') {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const lines: { message: string; completed?: number }[] = []
  const info = (fields: { completed?: number }, message: string) => lines.push({ ...fields, message })
  const log = new JobLog({ info } as unknown as Logger, mode, 'one')
  const job = heldJob(1)
  const complete = (count: number) => {
    for (let times = 0; times < count; times += 1) log.ended(job, 'completed', 2)
  }
  /** How many jobs had lines of their own, and how many were in summaries, since it was last asked. */
  const take = () => {
    const taken = lines.splice(0)
    return {
      own: taken.filter(({ message }) => message === 'job completed').length,
      summed: taken.reduce((sum, { completed = 0 }) => sum + completed, 0),
    }
  }
  return { log, complete, take, pass: (ms: number) => t.mock.timers.tick(ms) }
}

test('above 500 jobs a second the rest of the second is summed up, and the next begins so', (t) => {
  const { complete, take, pass } = createLog(t, 'auto')
  complete(600)
  assert.deepEqual(take(), { own: 500, summed: 0 })
  pass(1_000)
  assert.deepEqual(take(), { own: 0, summed: 100 })
  complete(501)
  pass(1_000)
  assert.deepEqual(take(), { own: 0, summed: 501 })
})

test('a second of no more than 500 jobs, or of none, gives each its own line again', (t) => {
  const { complete, take, pass } = createLog(t, 'auto')
  complete(501)
  pass(1_000)
  complete(500)
  pass(1_000)
  assert.deepEqual(take(), { own: 500, summed: 501 })
  complete(1)
  assert.deepEqual(take(), { own: 1, summed: 0 })
  pass(1_000)
  complete(501)
  pass(1_000)
  pass(1_000)
  take()
  complete(1)
  assert.deepEqual(take(), { own: 1, summed: 0 })
})

test('few jobs for long never add up to many', (t) => {
  const { complete, take, pass } = createLog(t, 'auto')
  for (let second = 0; second < 10; second += 1) {
    complete(400)
    pass(1_000)
  }
  assert.deepEqual(take(), { own: 4_000, summed: 0 })
})

test('at the end what was summed up is written at once, and no timer is left', (t) => {
  const { log, complete, take, pass } = createLog(t, 'auto')
  complete(510)
  log.flush()
  assert.deepEqual(take(), { own: 500, summed: 10 })
  pass(5_000)
  complete(1)
  assert.deepEqual(take(), { own: 1, summed: 0 })
})

test('all writes each, errors none', (t) => {
  const all = createLog(t, 'all')
  all.complete(600)
  assert.deepEqual(all.take(), { own: 600, summed: 0 })
  t.mock.timers.reset()
  const errors = createLog(t, 'errors')
  errors.complete(600)
  errors.pass(1_000)
  assert.deepEqual(errors.take(), { own: 0, summed: 0 })
})
