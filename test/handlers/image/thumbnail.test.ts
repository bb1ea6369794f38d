import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { test } from 'node:test'
import sharp from 'sharp'
import thumbnail from '#src/handlers/image/thumbnail.js'
import { attempt, createContext, createFolder } from '../fake-context.ts'

/** A photograph as a camera leaves it: noise that does not compress away, and a note of how it was held. */
function photograph(width: number, height: number, orientation = 1): Promise<Buffer> {
  const noise = { type: 'gaussian' as const, mean: 128, sigma: 30 }
  return sharp({ create: { width, height, channels: 3, background: 'black', noise } })
    .jpeg()
    .withMetadata({ orientation })
    .toBuffer()
}

for (const [ending, format] of [
  ['avif', 'heif'],
  ['jpg', 'jpeg'],
  ['JPEG', 'jpeg'],
  ['png', 'png'],
  ['webp', 'webp'],
]) {
  test(`a picture becomes a thumbnail ending in .${ending}`, async (t) => {
    const at = await createFolder(t)
    await writeFile(at('cat.jpg'), await photograph(400, 200))
    const output = at(`small.${ending}`)
    const context = createContext()
    await attempt(thumbnail, { source: at('cat.jpg'), output, width: 100 }, context)
    const made = await sharp(await readFile(output)).metadata()
    assert.equal(made.format, format)
    assert.deepEqual([made.width, made.height], [100, 50])
    assert.deepEqual(context.lines[0]?.fields['width'], 100)
    assert.deepEqual((await readdir(dirname(output))).sort(), ['cat.jpg', `small.${ending}`].sort())
  })
}

test('a picture is turned upright, loses its metadata and fits both edges', async (t) => {
  const at = await createFolder(t)
  await writeFile(at('cat.jpg'), await photograph(400, 200, 6))
  const payload = { source: at('cat.jpg'), output: at('small.jpg'), width: 100, height: 80 }
  await attempt(thumbnail, payload, createContext())
  const made = await sharp(await readFile(at('small.jpg'))).metadata()
  assert.deepEqual([made.width, made.height, made.exif], [40, 80, undefined])
})

test('a small picture is not enlarged', async (t) => {
  const at = await createFolder(t)
  await writeFile(at('cat.jpg'), await photograph(40, 20))
  const payload = { source: at('cat.jpg'), output: at('small.png'), width: 100 }
  await attempt(thumbnail, payload, createContext())
  assert.equal((await sharp(await readFile(at('small.png'))).metadata()).width, 40)
})

test('the same job run twice, at the same time, leaves the same file', async (t) => {
  const at = await createFolder(t)
  await writeFile(at('cat.jpg'), await photograph(400, 200))
  const payload = { source: at('cat.jpg'), output: at('small.webp'), width: 100 }
  await attempt(thumbnail, payload, createContext())
  const first = await readFile(at('small.webp'))
  await Promise.all([1, 2, 3].map(() => attempt(thumbnail, payload, createContext())))
  assert.deepEqual(await readFile(at('small.webp')), first)
  assert.deepEqual((await readdir(dirname(at('cat.jpg')))).sort(), ['cat.jpg', 'small.webp'])
})

test('a source that is no picture, damaged or too large is permanent and leaves the output alone', async (t) => {
  const at = await createFolder(t)
  const whole = await photograph(400, 200)
  await writeFile(at('text.jpg'), 'not a picture')
  await writeFile(at('empty.jpg'), '')
  await writeFile(at('cut.jpg'), whole.subarray(0, whole.length / 2))
  const bomb = sharp({ create: { width: 11_000, height: 10_000, channels: 3, background: 'black' } })
  await writeFile(at('bomb.png'), await bomb.png().toBuffer())
  await writeFile(at('heavy.jpg'), whole)
  await truncate(at('heavy.jpg'), 64 * 1024 * 1024 + 1)
  await mkdir(at('folder.jpg'))
  await writeFile(at('small.webp'), 'from last time')
  for (const name of ['text.jpg', 'empty.jpg', 'cut.jpg', 'bomb.png', 'heavy.jpg', 'folder.jpg']) {
    const payload = { source: at(name), output: at('small.webp'), width: 100 }
    await assert.rejects(attempt(thumbnail, payload, createContext()), { code: 'permanent_failure' }, name)
  }
  assert.equal(await readFile(at('small.webp'), 'utf8'), 'from last time')
})

test('a missing source and a missing output folder are ordinary failures', async (t) => {
  const at = await createFolder(t)
  await writeFile(at('cat.jpg'), await photograph(400, 200))
  for (const [source, output] of [
    ['missing.jpg', 'small.webp'],
    ['cat.jpg', 'missing/small.webp'],
  ] as const) {
    const payload = { source: at(source), output: at(output), width: 100 }
    await assert.rejects(attempt(thumbnail, payload, createContext()), { code: 'ENOENT' })
  }
})

test('an attempt that is aborted while the picture is drawn writes nothing', async (t) => {
  const at = await createFolder(t)
  await writeFile(at('cat.jpg'), await photograph(2_000, 2_000))
  await writeFile(at('small.webp'), 'from last time')
  const context = createContext()
  const payload = { source: at('cat.jpg'), output: at('small.webp'), width: 100 }
  const ended = attempt(thumbnail, payload, context)
  while (sharp.counters().process === 0) await new Promise((resolve) => setImmediate(resolve))
  context.abort('lease_lost')
  await assert.rejects(ended, { code: 'lease_lost' })
  assert.equal(await readFile(at('small.webp'), 'utf8'), 'from last time')
  assert.deepEqual((await readdir(dirname(at('cat.jpg')))).sort(), ['cat.jpg', 'small.webp'])
})

for (const payload of [
  { source: 'a.jpg', output: 'b.gif', width: 1 },
  { source: 'a.jpg', output: 'b', width: 1 },
  { source: 'a.jpg', output: 'b.png', width: 0 },
  { source: 'a.jpg', output: 'b.png', width: 1.5 },
  { source: 'a.jpg', output: 'b.png', width: 5_000 },
]) {
  test(`the schema refuses ${JSON.stringify(payload)}`, async () => {
    await assert.rejects(attempt(thumbnail, payload, createContext()), { code: 'invalid_payload' })
  })
}
