import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readCron } from '#src/schedules/cron-rule.js'

/** The next instants of a pattern, as `MM-DD HH:MM:SS` in UTC. */
function next(pattern: string, timeZone: string, from: string, count: number): string[] {
  const reading = readCron(pattern, timeZone)
  assert.equal(reading.kind, 'rule')
  const found: string[] = []
  let at: number | undefined = Date.parse(from)
  while (found.length < count && at !== undefined) {
    at = reading.kind === 'rule' ? reading.rule.next(at) : undefined
    if (at !== undefined) found.push(new Date(at).toISOString().slice(5, 19).replace('T', ' '))
  }
  return found
}

test('five fields are minutes and up, six begin with seconds', () => {
  assert.deepEqual(next('*/20 * * * *', 'UTC', '2026-01-01T00:05:00Z', 3), [
    '01-01 00:20:00',
    '01-01 00:40:00',
    '01-01 01:00:00',
  ])
  assert.deepEqual(next('*/20 * * * * *', 'UTC', '2026-01-01T00:00:05.500Z', 3), [
    '01-01 00:00:20',
    '01-01 00:00:40',
    '01-01 00:01:00',
  ])
})

test('a question mark is a star', () => {
  // A Thursday.
  assert.deepEqual(next('0 6 ? * MON', 'UTC', '2026-01-01T00:00:00Z', 2), [
    '01-05 06:00:00',
    '01-12 06:00:00',
  ])
  assert.deepEqual(next('0 6 5 * ?', 'UTC', '2026-01-01T00:00:00Z', 2), ['01-05 06:00:00', '02-05 06:00:00'])
  assert.deepEqual(
    next('30 ? * * *', 'Europe/Berlin', '2026-10-25T00:00:00Z', 3),
    next('30 * * * *', 'Europe/Berlin', '2026-10-25T00:00:00Z', 3),
  )
})

test('months that have no such day are left out', () => {
  assert.deepEqual(next('0 0 31 * *', 'UTC', '2026-01-01T00:00:00Z', 3), [
    '01-31 00:00:00',
    '03-31 00:00:00',
    '05-31 00:00:00',
  ])
  assert.deepEqual(next('0 12 L 2 *', 'UTC', '2027-01-01T00:00:00Z', 2), ['02-28 12:00:00', '02-29 12:00:00'])
})

test('the 29th of February comes in leap years, and not in 2100', () => {
  const reading = readCron('0 0 29 2 *')
  assert.ok(reading.kind === 'rule')
  const years: number[] = []
  for (let at = Date.UTC(2090, 0, 1); years.length < 3; ) {
    at = reading.rule.next(at)!
    years.push(new Date(at).getUTCFullYear())
  }
  assert.deepEqual(years, [2092, 2096, 2104])
})

test('an hour that the clocks leave out: what falls into it comes once, later by as much', () => {
  // On 29 March 2026 Berlin goes from 02:00 to 03:00, at 01:00 UTC.
  assert.deepEqual(next('30 2 * * *', 'Europe/Berlin', '2026-03-27T12:00:00Z', 3), [
    '03-28 01:30:00',
    '03-29 01:30:00',
    '03-30 00:30:00',
  ])
  assert.deepEqual(next('15-45/15 2 * * *', 'Europe/Berlin', '2026-03-28T12:00:00Z', 4), [
    '03-29 01:15:00',
    '03-29 01:30:00',
    '03-29 01:45:00',
    '03-30 00:15:00',
  ])
  assert.deepEqual(next('0,30 2,3 * * *', 'Europe/Berlin', '2026-03-28T12:00:00Z', 3), [
    '03-29 01:00:00',
    '03-29 01:30:00',
    '03-30 00:00:00',
  ])
})

test('an hour that the clocks repeat: what has fixed hours comes in the first of the two', () => {
  // On 25 October 2026 Berlin goes from 03:00 back to 02:00, at 01:00 UTC.
  assert.deepEqual(next('30 2 * * *', 'Europe/Berlin', '2026-10-24T00:00:00Z', 3), [
    '10-24 00:30:00',
    '10-25 00:30:00',
    '10-26 01:30:00',
  ])
  assert.deepEqual(next('30 2 * * *', 'Europe/Berlin', '2026-10-25T01:10:00Z', 1), ['10-26 01:30:00'])
  assert.deepEqual(next('0 2,3 * * *', 'Europe/Berlin', '2026-10-25T01:10:00Z', 2), [
    '10-25 02:00:00',
    '10-26 01:00:00',
  ])
})

test('a pattern for every hour goes through both kinds of days without a pause', () => {
  for (const from of ['2026-03-29T00:00:00Z', '2026-10-25T00:00:00Z']) {
    const start = Date.parse(from)
    const expected = [15, 30, 45, 60, 75, 90, 105, 120, 135].map((minutes) =>
      new Date(start + minutes * 60_000).toISOString().slice(5, 19).replace('T', ' '),
    )
    assert.deepEqual(next('*/15 * * * *', 'Europe/Berlin', from, 9), expected)
    assert.deepEqual(next('@hourly', 'Europe/Berlin', from, 2), [expected[3], expected[7]])
  }
  assert.deepEqual(next('0 * 1 7 *', 'Europe/Berlin', '2026-01-01T00:00:00Z', 2), [
    '06-30 22:00:00',
    '06-30 23:00:00',
  ])
})

test('time always goes forward, and the way there does not matter', () => {
  const patterns = [
    '*/7 * * * *',
    '30 2 * * *',
    '*/10 1-3 * * *',
    '59 59 2 * * *',
    '0 0 * * 0',
    '15 */2 * * *',
  ]
  const zones = ['UTC', 'Europe/Berlin', 'America/St_Johns', 'Australia/Lord_Howe', 'Africa/Casablanca']
  const aroundChange = fc.integer({ min: -4 * 3_600_000, max: 4 * 3_600_000 })
  const changes = [Date.UTC(2026, 2, 29, 1), Date.UTC(2026, 9, 25, 1), Date.UTC(2026, 3, 4, 15)]
  fc.assert(
    fc.property(
      fc.constantFrom(...patterns),
      fc.constantFrom(...zones),
      fc.constantFrom(...changes),
      aroundChange,
      fc.integer({ min: 1, max: 600_000 }),
      (pattern, zone, change, offset, step) => {
        const reading = readCron(pattern, zone)
        assert.ok(reading.kind === 'rule')
        const from = change + offset
        const found = reading.rule.next(from)!
        assert.ok(found > from)
        // Whoever begins to look a little later, but before that instant, finds the same one.
        if (from + step < found) assert.equal(reading.rule.next(from + step), found)
      },
    ),
    { numRuns: 1_000 },
  )
})

test('what is no pattern, or never comes, is refused with a reason', () => {
  const problem = (pattern: string): string | undefined => {
    const reading = readCron(pattern)
    return reading.kind === 'problem' ? reading.problem : undefined
  }
  assert.equal(problem('* * *'), 'it must have five fields, or six with seconds first')
  assert.equal(problem('* * * * * * 2027'), 'it must have five fields, or six with seconds first')
  assert.equal(problem('2026-01-01T00:00:00'), 'it must have five fields, or six with seconds first')
  assert.match(problem('61 * * * *')!, /minute: 61/)
  assert.equal(problem('0 0 30 2 *'), 'there is no such date')
  assert.match(problem('@sometimes')!, /@sometimes/)
  assert.match(problem('@reboot')!, /@reboot/)
})
