import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ZoneClock } from '#src/schedules/zone-clock.js'

const hour = 3_600_000

test('the offset of a zone is what its clocks show', () => {
  assert.equal(new ZoneClock('Europe/Berlin').offsetAt(Date.UTC(2026, 0, 1)), hour)
  assert.equal(new ZoneClock('Europe/Berlin').offsetAt(Date.UTC(2026, 6, 1)), 2 * hour)
  assert.equal(new ZoneClock('America/St_Johns').offsetAt(Date.UTC(2026, 0, 1)), -3.5 * hour)
  assert.equal(new ZoneClock('Asia/Kathmandu').offsetAt(Date.UTC(2026, 0, 1)), 5.75 * hour)
})

test('changes are found to the millisecond', () => {
  const clock = new ZoneClock('Europe/Berlin')
  const year = Date.UTC(2026, 0, 1)
  const spring = clock.firstChange(year, year + 365 * 24 * hour, hour)
  assert.equal(spring, Date.UTC(2026, 2, 29, 1))
  assert.equal(clock.firstChange(spring, Date.UTC(2027, 0, 1), 2 * hour), Date.UTC(2026, 9, 25, 1))
  assert.equal(clock.firstChange(year, Date.UTC(2026, 2, 29, 1) - 1, hour), undefined)
})

test('what the clocks leave out is later by as much, and of what they repeat the first is meant', () => {
  const clock = new ZoneClock('Europe/Berlin')
  assert.equal(clock.instantOf(Date.UTC(2026, 2, 29, 1, 59)), Date.UTC(2026, 2, 29, 0, 59))
  assert.equal(clock.instantOf(Date.UTC(2026, 2, 29, 2, 30)), Date.UTC(2026, 2, 29, 1, 30))
  assert.equal(clock.instantOf(Date.UTC(2026, 2, 29, 3, 0)), Date.UTC(2026, 2, 29, 1, 0))
  assert.equal(clock.instantOf(Date.UTC(2026, 9, 25, 2, 30)), Date.UTC(2026, 9, 25, 0, 30))
  assert.equal(clock.instantOf(Date.UTC(2026, 9, 25, 3, 0)), Date.UTC(2026, 9, 25, 2, 0))
})
