import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import { MillraceError } from '#src/core/errors.js'
import { readSchedulesFile } from '#src/schedules/schedules-file.js'
import { tempDir } from '../support/temp-dir.ts'

test('schedules are read from a file, with what they leave out filled in', async (t) => {
  const file = path.join(await tempDir(t), 'schedules.json')
  const payload = { olderThanDays: 7 }
  await writeFile(
    file,
    JSON.stringify([
      { name: 'a', handler: 'clean.up', cron: '@daily', payload },
      { name: 'b', handler: 'clean.up', everyMs: 500, catchUp: 'none', overlap: 'skip', jitterMs: 7 },
    ]),
  )
  const [one, two] = readSchedulesFile(file, ['clean.up'])
  const { rule, ...rest } = one!
  assert.deepEqual(rest, {
    name: 'a',
    handler: 'clean.up',
    catchUp: 'last',
    overlap: 'allow',
    jitterMs: 0,
    payload: '{"olderThanDays":7}',
  })
  assert.equal(rule.next(0), 24 * 3_600_000)
  assert.equal(two!.rule.next(0), 500)
  assert.deepEqual([two!.catchUp, two!.overlap, two!.jitterMs, two!.payload], ['none', 'skip', 7, undefined])
})

test('everything that is wrong with the file is said at once, on lines of their own', async (t) => {
  const file = path.join(await tempDir(t), 'schedules.json')
  const entries = [
    { name: 'a', handler: 'emial', everyMs: 1 },
    { name: 'a', handler: 'email', cron: '* * * *' },
    { handler: 'email', cron: '* * * * *', timezone: 'UTC' },
    7,
  ]
  await writeFile(file, JSON.stringify(entries))
  assert.throws(
    () => readSchedulesFile(file, ['email']),
    (error) => {
      assert.ok(error instanceof MillraceError)
      assert.equal(error.code, 'invalid_settings')
      assert.deepEqual(error.message.split('\n').slice(1), [
        '  [0] "a": there is no handler "emial", did you mean email?',
        '  [0] "a".everyMs must be a whole number of at least 100, got 1',
        '  [1] "a": the name stands twice',
        '  [2].name must be letters, digits and - in parts that dots join, got undefined',
        '  unknown field "[2].timezone"; known are name, handler, cron, timeZone, everyMs, catchUp, jitterMs, overlap, payload',
        '  [3] must be an object with name, handler and cron or everyMs, got 7',
      ])
      return true
    },
  )
})
