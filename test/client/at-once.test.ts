import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AtOnce } from '#src/client/at-once.js'

test('no more tasks run at once than may, and all of them are waited for', async () => {
  const tasks = new AtOnce(3)
  let running = 0
  let most = 0
  let ended = 0
  for (let n = 0; n < 20; n += 1) {
    await tasks.add(async () => {
      running += 1
      most = Math.max(most, running)
      await new Promise((resolve) => setImmediate(resolve))
      running -= 1
      ended += 1
    })
  }
  await tasks.ended()
  assert.deepEqual([most, ended], [3, 20])
})

test('after a failure nothing more begins, and what runs is waited for', async () => {
  const tasks = new AtOnce(2)
  const done: string[] = []
  let release = (): void => {}
  await tasks.add(async () => {
    await new Promise<void>((resolve) => {
      release = resolve
    })
    done.push('slow')
  })
  await tasks.add(async () => {
    setImmediate(release)
    throw new TypeError('no')
  })
  await assert.rejects(
    tasks.add(async () => {
      done.push('late')
    }),
    TypeError,
  )
  assert.deepEqual(done, ['slow'])
  await assert.rejects(tasks.ended(), TypeError)
})
