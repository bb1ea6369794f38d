import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Absences, settlingMs } from '#src/nats/absences.js'
import { eventually } from '../support/eventually.ts'

test('a stream that was never there may be made at once', () => {
  const absences = new Absences()
  assert.equal(absences.mayBeMade('JOBS'), true)
  assert.equal(absences.mayBeMade('JOBS'), true)
})

test('a stream that was there may be made when it has been missing for a while, each time', async () => {
  const absences = new Absences()
  for (let time = 0; time < 2; time += 1) {
    absences.present('JOBS')
    absences.present('JOBS_DEAD')
    const missedAt = performance.now()
    assert.equal(absences.mayBeMade('JOBS'), false)
    await eventually('it may be made', () => absences.mayBeMade('JOBS'))
    assert.ok(performance.now() - missedAt >= settlingMs)
    assert.equal(absences.mayBeMade('JOBS_DEAD'), false, 'another stream has its own time')
  }
})
