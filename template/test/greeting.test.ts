import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTestQueue, testHandler } from 'millrace/testing'
import greeting from '../handlers/greeting.ts'

test('a name is greeted', async () => {
  const { outcome, result, logs } = await testHandler(greeting, { name: 'Ada' })
  assert.equal(outcome, 'completed')
  assert.equal(result, 'hello Ada')
  assert.deepEqual(logs[0]?.fields, { name: 'Ada' })
})

test('a job without a name is given up on at once', async () => {
  const queue = createTestQueue({ handlers: { greeting } })
  await queue.enqueue('greeting', { name: '' })
  await queue.drain()
  const [letter] = queue.deadLetters()
  assert.equal(letter?.reason, 'permanent')
  assert.equal(letter?.attempts, 1)
})
