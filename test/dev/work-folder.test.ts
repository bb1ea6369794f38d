import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { makeBuildFolder, takeStoreFolder } from '#src/dev/work-folder.js'
import { tempDir } from '../support/temp-dir.ts'

/** A package, which is the working directory for the time of the test. */
async function packageFolder(t: TestContext): Promise<string> {
  const before = process.cwd()
  const folder = realpathSync(await tempDir(t))
  writeFileSync(path.join(folder, 'package.json'), '{}')
  process.chdir(folder)
  t.after(() => process.chdir(before))
  return folder
}

/** The id of a process that is gone. */
const goneId = spawnSync(process.execPath, ['--version']).pid

test('handlers are built inside of their package, and what others have left is removed', async (t) => {
  const folder = await packageFolder(t)
  const home = path.join(folder, '.millrace')
  for (const pid of [goneId, process.ppid]) mkdirSync(path.join(home, `build-${pid}`), { recursive: true })
  mkdirSync(path.join(folder, 'src', 'handlers'), { recursive: true })
  assert.equal(makeBuildFolder(path.join('src', 'handlers')), path.join(home, `build-${process.pid}`))
  assert.deepEqual(
    readdirSync(home).sort(),
    ['.gitignore', `build-${process.pid}`, `build-${process.ppid}`].sort(),
  )
  assert.equal(readFileSync(path.join(home, '.gitignore'), 'utf8'), '*\n')
  mkdirSync(path.join(folder, 'jobs'))
  writeFileSync(path.join(folder, 'jobs', 'package.json'), '{}')
  assert.equal(path.dirname(makeBuildFolder('jobs')), path.join(folder, 'jobs', '.millrace'))
})

test('two do not run a broker over one store', async (t) => {
  const folder = await packageFolder(t)
  const lock = path.join(folder, '.millrace', 'broker.pid')
  const taken = takeStoreFolder()
  assert.equal(taken.folder, path.join(folder, '.millrace', 'broker'))
  taken.release()
  assert.ok(!existsSync(lock))
  writeFileSync(lock, String(process.ppid))
  assert.throws(takeStoreFolder, {
    code: 'invalid_settings',
    message: /already, as process \d+: .*--temporary/,
  })
  writeFileSync(lock, String(goneId))
  takeStoreFolder().release()
})
