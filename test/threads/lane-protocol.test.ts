import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  cell,
  createTable,
  fieldCount,
  fields,
  openTable,
  phaseOf,
  phases,
  ticketLimit,
  ticketOf,
} from '#src/threads/lane-protocol.js'

const allPhases = Object.values(phases)

test('ticket and phase of a cell can be told apart, for every ticket up to the wrap', () => {
  const tickets = fc.oneof(fc.constantFrom(0, 1, ticketLimit - 2, ticketLimit - 1), fc.nat(ticketLimit - 1))
  fc.assert(
    fc.property(tickets, fc.constantFrom(...allPhases), (ticket, phase) => {
      const value = cell(ticket, phase)
      assert.equal(ticketOf(value), ticket)
      assert.equal(phaseOf(value), phase)
      // It survives a shared array of 32-bit integers, which compare-and-exchange needs.
      assert.equal(new Int32Array([value])[0], value)
    }),
  )
})

test('no two phases are the same, and each fits three bits', () => {
  assert.equal(new Set(allPhases).size, allPhases.length)
  assert.ok(allPhases.every((phase) => phase >= 0 && phase < 8))
})

test('both sides of a table see the same cells, and nothing overlaps', () => {
  for (const slots of [1, 2, 7, 256]) {
    const ours = createTable(slots)
    const theirs = openTable(ours.buffer, slots)
    for (let slot = 0; slot < slots; slot += 1) {
      ours.startedAt[slot] = slot + 0.5
      ours.durationMs[slot] = slot + 0.25
      Atomics.store(ours.cells, slot, cell(slot, phases.posted))
    }
    Atomics.store(ours.current, 0, 99)
    for (let slot = 0; slot < slots; slot += 1) {
      assert.equal(theirs.startedAt[slot], slot + 0.5)
      assert.equal(theirs.durationMs[slot], slot + 0.25)
      assert.equal(theirs.cells[slot], cell(slot, phases.posted))
    }
    assert.equal(theirs.current[0], 99)
    const { cells, startedAt, durationMs, current } = theirs
    assert.deepEqual(
      [cells, startedAt, durationMs, current].map(({ length }) => length),
      [slots, slots, slots, 1],
    )
  }
})

test('of a claim and a taking back only one wins', () => {
  const { cells } = createTable(1)
  const posted = cell(7, phases.posted)
  Atomics.store(cells, 0, posted)
  assert.equal(Atomics.compareExchange(cells, 0, posted, cell(7, phases.started)), posted)
  assert.notEqual(Atomics.compareExchange(cells, 0, posted, cell(7, phases.taken)), posted)
  assert.equal(phaseOf(cells[0]!), phases.started)
})

test('an entry of an earlier ticket cannot claim a slot that is used again', () => {
  const { cells } = createTable(1)
  Atomics.store(cells, 0, cell(8, phases.posted))
  const stale = cell(7, phases.posted)
  assert.notEqual(Atomics.compareExchange(cells, 0, stale, cell(7, phases.started)), stale)
  assert.equal(cells[0], cell(8, phases.posted))
})

test('the fields of a job fill its part of a batch without gaps', () => {
  assert.deepEqual(
    Object.values(fields).sort((a, b) => a - b),
    Array.from({ length: fieldCount }, (_, index) => index),
  )
})
