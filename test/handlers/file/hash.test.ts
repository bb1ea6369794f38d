import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash, Hash } from 'node:crypto'
import { appendFile, mkdir, open, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import hash from '#src/handlers/file/hash.js'
import { attempt, createContext, createFolder } from '../fake-context.ts'

/** A file of zeros that takes no room on the disk. */
async function createSparseFile(path: string, sizeBytes: number): Promise<void> {
  const file = await open(path, 'w')
  await file.truncate(sizeBytes)
  await file.close()
}

test('the digest of a file is in the log line and in the result', async (t) => {
  const at = await createFolder(t)
  const bytes = Buffer.alloc(3_000_001, 'millrace')
  await writeFile(at('large.bin'), bytes)
  const context = createContext()
  const result = await attempt(hash, { path: at('large.bin') }, context)
  const digest = createHash('sha256').update(bytes).digest('hex')
  assert.deepEqual(result, { digest, sizeBytes: bytes.length })
  assert.deepEqual(context.lines[0]?.fields, {
    path: at('large.bin'),
    algorithm: 'sha256',
    digest,
    sizeBytes: bytes.length,
  })
})

test('an empty file has a digest', async (t) => {
  const at = await createFolder(t)
  await writeFile(at('empty'), '')
  const result = await attempt(hash, { path: at('empty'), algorithm: 'md5' }, createContext())
  assert.deepEqual(result, { digest: 'd41d8cd98f00b204e9800998ecf8427e', sizeBytes: 0 })
})

test('the output is a checksum file, and nothing else is left beside it', async (t) => {
  const at = await createFolder(t)
  await writeFile(at('a.txt'), 'a')
  await writeFile(at('a.sha512'), 'from last time')
  const payload = { path: at('a.txt'), algorithm: 'sha512', output: at('a.sha512') }
  await attempt(hash, payload, createContext())
  const digest = createHash('sha512').update('a').digest('hex')
  assert.equal(await readFile(at('a.sha512'), 'utf8'), `${digest}  ${at('a.txt')}\n`)
  assert.deepEqual((await readdir(dirname(at('a.txt')))).sort(), ['a.sha512', 'a.txt'])
})

test('an abort ends the reading between two pieces and leaves the output as it was', async (t) => {
  const at = await createFolder(t)
  // Hashing all of it would take minutes: only an attempt that stops early ends at all.
  await createSparseFile(at('huge.bin'), 400 * 1024 ** 3)
  await writeFile(at('huge.sha256'), 'from last time')
  const context = createContext()
  // The third piece is the sign that the work is under way.
  const update: (this: Hash, piece: Buffer) => Hash = Hash.prototype.update
  const updates = t.mock.method(Hash.prototype, 'update', function (this: Hash, piece: Buffer) {
    if (updates.mock.callCount() === 2) setImmediate(() => context.abort('shutdown'))
    return update.call(this, piece)
  })
  const ended = attempt(hash, { path: at('huge.bin'), output: at('huge.sha256') }, context)
  await assert.rejects(ended, { code: 'shutdown' })
  assert.equal(await readFile(at('huge.sha256'), 'utf8'), 'from last time')
  assert.deepEqual((await readdir(dirname(at('huge.bin')))).sort(), ['huge.bin', 'huge.sha256'])
  assert.deepEqual(context.lines, [])
})

test('an output that cannot be replaced leaves nothing half written', async (t) => {
  const at = await createFolder(t)
  await writeFile(at('a.txt'), 'a')
  await mkdir(at('taken'))
  await assert.rejects(attempt(hash, { path: at('a.txt'), output: at('taken') }, createContext()))
  assert.deepEqual((await readdir(dirname(at('a.txt')))).sort(), ['a.txt', 'taken'])
})

test('a file that grows while it is read gives no digest', async (t) => {
  const at = await createFolder(t)
  await createSparseFile(at('growing.bin'), 64 * 1024 ** 2)
  const context = createContext()
  let reading = true
  const ended = attempt(hash, { path: at('growing.bin') }, context).finally(() => {
    reading = false
  })
  const refused = assert.rejects(ended, /changed while it was read/)
  while (reading) await appendFile(at('growing.bin'), 'more')
  await refused
  assert.deepEqual(context.lines, [])
})

test('a missing file is an ordinary failure; a folder and a pipe are permanent', async (t) => {
  const at = await createFolder(t)
  await promisify(execFile)('mkfifo', [at('pipe')])
  await assert.rejects(attempt(hash, { path: at('missing') }, createContext()), { code: 'ENOENT' })
  await assert.rejects(attempt(hash, { path: at('.') }, createContext()), { code: 'permanent_failure' })
  await assert.rejects(attempt(hash, { path: at('pipe') }, createContext()), { code: 'permanent_failure' })
})

for (const payload of [undefined, {}, { path: '' }, { path: 'a', algorithm: 'crc32' }]) {
  test(`the schema refuses ${JSON.stringify(payload)}`, async () => {
    await assert.rejects(attempt(hash, payload, createContext()), { code: 'invalid_payload' })
  })
}
