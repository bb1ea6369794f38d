import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DeadLetterFilter, isMeant, readDeadLetter } from '#src/core/dead-letter-record.js'

function letterOf(headers: [string, string][]) {
  const place = { stream: 'JOBS_DEAD', sequence: 3, storedAt: 1 }
  return readDeadLetter({ ...place, subject: 'dead.jobs.a', headers, data: new Uint8Array() }, 'a')
}

test('a message that is no dead letter lacks what it does not say, and is no error', () => {
  const { stored, ...letter } = letterOf([
    ['Millrace-Attempts', 'many'],
    ['Millrace-History', '{'],
    ['Millrace-Dead-At', 'now'],
  ])
  assert.deepEqual(letter, {
    sequence: 3,
    handler: 'a',
    jobId: undefined,
    reason: undefined,
    attempts: undefined,
    deadAt: undefined,
    errorCode: undefined,
    errorMessage: undefined,
    jobSubject: undefined,
    replays: 0,
    history: [],
  })
})

test('everything that a filter names has to fit', () => {
  const letter = letterOf([
    ['millrace-dead-reason', 'exhausted'],
    ['Millrace-Dead-At', '2026-01-31T12:00:00.000Z'],
    ['Millrace-Error-Code', 'ENOENT'],
    ['Millrace-Error-Message', 'No such file'],
  ])
  const at = Date.parse('2026-01-31T12:00:00Z')
  const fits: [DeadLetterFilter, boolean][] = [
    [{}, true],
    [{ handler: 'a', reason: 'exhausted', since: new Date(at), error: 'such FILE' }, true],
    [{ error: 'enoent' }, true],
    [{ handler: 'a.b' }, false],
    [{ handler: 'a', reason: 'expired' }, false],
    [{ since: new Date(at + 1) }, false],
    [{ error: 'no luck' }, false],
  ]
  for (const [filter, expected] of fits)
    assert.equal(isMeant(letter, filter), expected, JSON.stringify(filter))
  assert.ok(!isMeant(letterOf([]), { since: new Date(0) }))
})
