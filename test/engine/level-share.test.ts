import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Priority, priorities } from '#src/core/names.js'
import { highInARow, LevelShare, notLowInARow } from '#src/engine/level-share.js'

/** Takes `count` jobs one after the other from what waits; `more` may change that before each. */
function take(waiting: Record<Priority, number>, count: number, more: (index: number) => void = () => {}) {
  const share = new LevelShare()
  const taken: { priority: Priority; waited: Record<Priority, boolean> }[] = []
  for (let index = 0; index < count; index += 1) {
    more(index)
    const priority = share.order.find((each) => waiting[each] > 0)
    if (!priority) continue
    const waited = { high: waiting.high > 0, normal: waiting.normal > 0, low: waiting.low > 0 }
    waiting[priority] -= 1
    taken.push({ priority, waited })
    share.took(priority, waiting.normal > 0, waiting.low > 0)
  }
  return taken
}

const initials = (taken: { priority: Priority }[]): string =>
  taken.map(({ priority }) => priority[0]!.toUpperCase()).join('')

test('while all three wait, of ten jobs eight are high, one is normal and one is low', () => {
  assert.equal(initials(take({ high: 99, normal: 99, low: 99 }, 20)), 'HHHHNHHHHLHHHHNHHHHL')
})

test('two that wait share by the same rule', () => {
  assert.equal(initials(take({ high: 99, normal: 99, low: 0 }, 10)), 'HHHHNHHHHN')
  assert.equal(initials(take({ high: 99, normal: 0, low: 99 }, 10)), 'HHHHLHHHHL')
  assert.equal(initials(take({ high: 0, normal: 99, low: 99 }, 20)), 'NNNNNNNNNLNNNNNNNNNL')
})

test('who waits alone has waited for nobody, and who comes later has no claim yet', () => {
  const waiting = { high: 50, normal: 0, low: 0 }
  const taken = take(waiting, 30, (index) => {
    if (index === 20) waiting.normal = 5
  })
  assert.equal(initials(taken.slice(18)), 'HHHHHHNHHHHN')
})

/** What waits at first, and what comes before each take. */
const load = fc.record({ high: fc.nat(3), normal: fc.nat(3), low: fc.nat(3) })

test('whatever comes, no lower job waits for more than its share says, and none goes first without need', () => {
  fc.assert(
    fc.property(load, fc.array(load, { maxLength: 200 }), (first, arrivals) => {
      const waiting = { ...first }
      const taken = take(waiting, arrivals.length, (index) => {
        for (const priority of priorities) waiting[priority] += arrivals[index]![priority]
      })
      let passedLow = 0
      let highPassed = 0
      for (const { priority, waited } of taken) {
        if (priority === 'low' && (waited.high || waited.normal)) {
          assert.ok(passedLow >= notLowInARow || (highPassed >= highInARow && !waited.normal))
        }
        if (priority === 'normal' && waited.high) assert.ok(highPassed >= highInARow)
        passedLow = waited.low && priority !== 'low' ? passedLow + 1 : 0
        highPassed = (waited.normal || waited.low) && priority === 'high' ? highPassed + 1 : 0
        assert.ok(passedLow <= notLowInARow, 'a low job is passed too often')
        assert.ok(highPassed <= highInARow, 'a lower job is passed too often by high ones')
      }
    }),
  )
})

test('a share that cannot be taken now is due until it is, and the others go on by their own rule', () => {
  const share = new LevelShare()
  for (let index = 0; index < 9; index += 1) share.took('normal', true, true)
  assert.equal(share.isDue('low'), true)
  // The low job's handler has no slot to spare: high and normal go on.
  const went: Priority[] = []
  for (let index = 0; index < 10; index += 1) {
    const priority = share.order.find((each) => each !== 'low')!
    went.push(priority)
    share.took(priority, true, true)
    assert.equal(share.order[0], 'low')
  }
  assert.equal(went.join(), 'high,high,high,high,normal,high,high,high,high,normal')
  share.took('low', true, true)
  assert.equal(share.isDue('low'), false)
})
