import assert from 'node:assert/strict'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { findHandlers } from '#src/threads/handlers-folder.js'
import { tempDir } from '../support/temp-dir.ts'

async function folderOf(t: TestContext, ...files: string[]): Promise<string> {
  const dir = await tempDir(t)
  for (const file of files) {
    await mkdir(path.dirname(path.join(dir, file)), { recursive: true })
    await writeFile(path.join(dir, file), 'export default () => {}\n')
  }
  return dir
}

const namesIn = (dir: string) => findHandlers(dir).map(({ name }) => name)

test('a handler is named by its path, in the order of the names', async (t) => {
  const dir = await folderOf(t, 'report.js', 'email/send.js', 'email/bounce.mjs', 'a-1/B2.cjs')
  const found = findHandlers(dir)
  assert.deepEqual(
    found.map(({ name }) => name),
    ['a-1.B2', 'email.bounce', 'email.send', 'report'],
  )
  assert.equal(path.basename(fileURLToPath(found[2]!.url)), 'send.js')
})

test('what is no compiled handler is left out', async (t) => {
  const dir = await folderOf(
    t,
    'send.js',
    'send.js.map',
    'send.d.ts',
    'send.ts',
    'readme.md',
    '_shared.js',
    '_shared/thing.js',
    '.hidden.js',
    '.git/hook.js',
    'node_modules/dep/index.js',
    'package.json',
  )
  assert.deepEqual(namesIn(dir), ['send'])
})

test('a file whose name cannot be a handler and two files of one name are all reported at once', async (t) => {
  const dir = await folderOf(
    t,
    'ok.js',
    'bad name.js',
    'snake_case.js',
    'twice.js',
    'twice.mjs',
    'a/b.js',
    'a.b.js',
  )
  assert.throws(
    () => findHandlers(dir),
    (error: Error & { code: string }) => {
      assert.equal(error.code, 'invalid_definition')
      const lines = error.message.split('\n')
      assert.equal(lines.length, 4)
      assert.match(error.message, /bad name\.js cannot be a handler/)
      assert.match(error.message, /snake_case\.js cannot be a handler/)
      assert.match(error.message, /are both the handler twice; keep one/)
      assert.match(error.message, /are both the handler a\.b; keep one/)
      return true
    },
  )
})

test('a folder that is missing, is a file or is empty is an error that says which folder', async (t) => {
  const dir = await folderOf(t, 'file.js', 'empty/readme.md')
  for (const [folder, words] of [
    ['nowhere', /nowhere does not exist/],
    ['file.js', /file\.js does not exist/],
    ['empty', /empty holds no \.js, \.mjs or \.cjs file/],
  ] as const) {
    assert.throws(() => findHandlers(path.join(dir, folder)), { code: 'handlers_missing', message: words })
  }
})

test('linked files and folders are handlers under the name of the link', async (t) => {
  const elsewhere = await folderOf(t, 'real.js', 'family/child.js')
  const dir = await folderOf(t, 'own.js')
  await symlink(path.join(elsewhere, 'real.js'), path.join(dir, 'linked.js'))
  await symlink(path.join(elsewhere, 'family'), path.join(dir, 'kin'))
  assert.deepEqual(namesIn(dir), ['kin.child', 'linked', 'own'])
})

test('a handlers folder that is itself a link is followed', async (t) => {
  const elsewhere = await folderOf(t, 'real.js')
  const dir = await tempDir(t)
  await symlink(elsewhere, path.join(dir, 'current'))
  const [found] = findHandlers(path.join(dir, 'current'))
  assert.equal(found!.name, 'real')
})

test('a link that leads nowhere or back up stops nobody', async (t) => {
  const dir = await folderOf(t, 'own.js', 'deep/child.js')
  await symlink(path.join(dir, 'gone'), path.join(dir, 'dangling'))
  await symlink(dir, path.join(dir, 'deep', 'loop'))
  assert.deepEqual(namesIn(dir), ['deep.child', 'own'])
})
