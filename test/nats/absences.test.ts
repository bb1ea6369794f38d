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

test('only a server that has started anew, and what was not missing before, is made at once', () => {
  const absences = new Absences()
  absences.servedBy('first')
  for (const stream of ['JOBS', 'JOBS_HIGH', 'JOBS_LOW']) absences.present(stream)
  assert.equal(absences.mayBeMade('JOBS'), false)
  absences.servedBy('first')
  assert.equal(absences.mayBeMade('JOBS_HIGH'), false, 'the same server, connected anew')
  absences.servedBy('second')
  assert.equal(absences.mayBeMade('JOBS'), false, 'it may be in the course of being removed')
  assert.equal(absences.mayBeMade('JOBS_LOW'), true)
})
