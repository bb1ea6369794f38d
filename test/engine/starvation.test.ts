import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { InFlightJob } from '#src/engine/in-flight-job.js'
import type { StartedJob } from '#src/engine/lanes-port.js'
import { partInKill } from '#src/engine/starvation.js'

function overdue(about: { signalled?: boolean; inside?: boolean; suspect?: boolean } = {}): StartedJob {
  const { signalled = false, inside = false, suspect = false } = about
  return { job: { suspect } as InFlightJob, startedAt: 0, signalled, inside }
}

function parts(...attempts: StartedJob[]): string[] {
  return attempts.map((attempt) => partInKill(attempt, attempts))
}

test('an attempt that is past its deadline alone is charged', () => {
  assert.deepEqual(parts(overdue()), ['charged'])
})

test('whoever heard its signal is charged, and the one that did not as well', () => {
  assert.deepEqual(parts(overdue({ signalled: true }), overdue({ signalled: true }), overdue()), [
    'charged',
    'charged',
    'charged',
  ])
})

test('of several that heard nothing, the one whose code was running is charged', () => {
  assert.deepEqual(parts(overdue(), overdue({ inside: true }), overdue({ signalled: true })), [
    'starved',
    'charged',
    'charged',
  ])
})

test('when it is not known whose code was running, all that heard nothing are suspects', () => {
  assert.deepEqual(parts(overdue(), overdue()), ['suspect', 'suspect'])
})

test('a single suspect among those that heard nothing is charged, so that it comes to an end', () => {
  assert.deepEqual(parts(overdue(), overdue({ suspect: true }), overdue()), ['starved', 'charged', 'starved'])
})
