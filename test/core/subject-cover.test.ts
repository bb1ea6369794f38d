import assert from 'node:assert/strict'
import { test } from 'node:test'
import { coversSubject, subjectsMeet } from '#src/core/subject-cover.js'

test('a pattern covers what it matches whatever the wildcards of the other stand for', () => {
  const covered: [pattern: string, wanted: string][] = [
    ['jobs.>', 'jobs.email.send'],
    ['jobs.>', 'jobs.>'],
    ['jobs.>', 'jobs.*.a'],
    ['>', 'a'],
    ['*.a', '*.a'],
    ['a.b', 'a.b'],
  ]
  const open: [pattern: string, wanted: string][] = [
    ['jobs.*', 'jobs.>'],
    ['jobs.>', 'jobs'],
    ['jobs.a', 'jobs.*'],
    ['jobs.*', 'jobs.a.b'],
    ['jobs.*.*', 'jobs.a'],
    ['a', 'b'],
  ]
  for (const [pattern, wanted] of covered) assert.ok(coversSubject(pattern, wanted), `${pattern} ${wanted}`)
  for (const [pattern, wanted] of open) assert.ok(!coversSubject(pattern, wanted), `${pattern} ${wanted}`)
})

test('subjects meet when some subject is matched by both, in either order', () => {
  const meeting: [one: string, other: string][] = [
    ['jobs.*', 'jobs.>'],
    ['jobs.a.>', 'jobs.*.b'],
    ['a.b', 'a.b'],
    ['>', 'a.b'],
  ]
  const apart: [one: string, other: string][] = [
    ['jobs.a', 'jobs.b'],
    ['jobs.*', 'jobs.a.b'],
    ['jobs.>', 'jobs'],
    ['jobs.a.*', 'jobs.b.>'],
  ]
  for (const [one, other] of meeting) assert.ok(subjectsMeet(one, other) && subjectsMeet(other, one), one)
  for (const [one, other] of apart) assert.ok(!subjectsMeet(one, other) && !subjectsMeet(other, one), one)
})
