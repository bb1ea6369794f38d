import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TopRates } from '#src/cli/top-rates.js'

const queue = (handler: string, delivered: number | undefined, ackPending = 0) => ({
  handler,
  delivered,
  ackPending,
})

test('a rate is what was delivered and is not there any more, in a second', () => {
  const rates = new TopRates()
  rates.add(0, [queue('a', 100, 10), queue('b', undefined)])
  assert.deepEqual([rates.rateOf('a'), rates.history], [undefined, []])
  // 20 more were handed out, and 5 more than before are not settled.
  rates.add(1_000, [queue('a', 120, 15), queue('b', undefined)])
  assert.deepEqual([rates.rateOf('a'), rates.rateOf('b'), rates.history], [15, undefined, [15]])
  rates.add(3_000, [queue('a', 120, 0), queue('c', 7)])
  assert.deepEqual([rates.rateOf('a'), rates.rateOf('c'), rates.history], [10, undefined, [15, 7.5]])
})

test('old samples are forgotten, and a consumer that begins anew is no negative rate', () => {
  const rates = new TopRates()
  for (let second = 0; second <= 10; second += 1)
    rates.add(second * 1_000, [queue('a', second < 5 ? second * 100 : 400)])
  assert.equal(rates.rateOf('a'), 0)
  assert.deepEqual(rates.history, [100, 100, 100, 100, 0, 0, 0, 0, 0, 0])
  rates.add(11_000, [queue('a', 3)])
  assert.equal(rates.rateOf('a'), 0)
  for (let second = 12; second < 400; second += 1) rates.add(second * 1_000, [])
  assert.equal(rates.history.length, 120)
})
