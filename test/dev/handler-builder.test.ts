import assert from 'node:assert/strict'
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { HandlerBuilder } from '#src/dev/handler-builder.js'
import { tempDir } from '../support/temp-dir.ts'

/** A folder with these files, whose handlers are in `handlers`. */
async function builderOf(t: TestContext, files: Record<string, string>) {
  const folder = await tempDir(t)
  const save = (file: string, text: string): void => {
    mkdirSync(path.dirname(path.join(folder, file)), { recursive: true })
    writeFileSync(path.join(folder, file), text)
  }
  for (const [file, text] of Object.entries(files)) save(file, text)
  const outDir = path.join(folder, 'out')
  const builder = await HandlerBuilder.create(path.join(folder, 'handlers'), outDir)
  t.after(() => builder.dispose())
  const load = async (built: { file: string; code: string }): Promise<unknown> => {
    save(path.join('out', built.file), built.code)
    const { default: value } = await import(pathToFileURL(path.join(outDir, built.file)).href)
    return value
  }
  return { folder, builder, save, load }
}

test('handlers are built with what they import, know where they are, and leave packages alone', async (t) => {
  const { folder, builder, load } = await builderOf(t, {
    'lib/word.ts': "export const word: string = 'hello'",
    'handlers/email/send.mts':
      "import { word } from '../../lib/word.ts'\nenum Kind { A = 1 }\nexport default [word, Kind.A, import.meta.url, import.meta.dirname]",
    'handlers/old.cjs':
      "const { sep } = require('node:path')\nconst { VERSION } = require('./_part.cjs')\nmodule.exports = [sep, VERSION]",
    'handlers/_part.cjs': "exports.VERSION = 'v7'",
    'handlers/piscina.js': "import { Piscina } from 'piscina'\nexport default Piscina",
    'handlers/types.d.ts': 'export type A = 1',
    'handlers/.hidden.ts': '(',
    'handlers/node_modules/x/index.js': '(',
    'handlers/notes.md': '(',
  })
  const { handlers, failures, folders } = await builder.build()
  assert.deepEqual(failures, [])
  assert.deepEqual(
    handlers.map(({ name, file }) => [name, file]),
    [
      ['email.send', path.join('email', 'send.mjs')],
      ['old', 'old.mjs'],
      ['piscina', 'piscina.mjs'],
    ],
  )
  const source = path.join(folder, 'handlers', 'email', 'send.mts')
  assert.deepEqual(await load(handlers[0]!), ['hello', 1, pathToFileURL(source).href, path.dirname(source)])
  assert.deepEqual(await load(handlers[1]!), [path.sep, 'v7'])
  assert.match(handlers[2]!.code, /from "piscina"/)
  assert.deepEqual(
    ['lib', 'handlers', 'handlers/email'].map((name) => folders.has(path.join(folder, name))),
    [true, true, true],
  )
})

test('what cannot be built is told with its place, and the others are built', async (t) => {
  const { builder, save, folder } = await builderOf(t, {
    'handlers/good.ts': 'export default () => {}',
    'handlers/bad.ts': 'export default {\n  run() { retrun 5 },\n}',
    'handlers/lost.ts': "import './nowhere.ts'",
    'handlers/two.ts': '',
    'handlers/two.js': '',
    'handlers/not_a_name.ts': '',
  })
  const { handlers, failures } = await builder.build()
  assert.deepEqual(
    handlers.map(({ name }) => name),
    ['good'],
  )
  const told = new Map(failures.map(({ name, messages }) => [name, messages.join('\n')]))
  assert.match(
    told.get('bad')!,
    /bad\.ts:2:18: Expected ";" but found "5"\n {6}run\(\) \{ retrun 5 \},\n {21}\^$/,
  )
  assert.match(told.get('lost')!, /lost\.ts:1:8: Could not resolve "\.\/nowhere\.ts"/)
  assert.match(told.get('two')!, /two\.js and two\.ts|two\.ts and two\.js/)
  assert.match(told.get('not_a_name')!, /letters, digits and hyphens; begin it with _/)

  save('handlers/nowhere.ts', 'export {}')
  save('handlers/bad.ts', 'export default {}')
  rmSync(path.join(folder, 'handlers', 'two.js'))
  rmSync(path.join(folder, 'handlers', 'good.ts'))
  const next = await builder.build()
  assert.deepEqual(
    next.handlers.map(({ name }) => name),
    ['bad', 'lost', 'nowhere', 'two'],
  )
  rmSync(path.join(folder, 'handlers'), { recursive: true })
  const gone = await builder.build()
  assert.deepEqual([gone.handlers, [...gone.folders].includes(folder)], [[], true])
})

test('a folder is watched that holds what was never there, or is linked to', async (t) => {
  const { builder, save, folder } = await builderOf(t, {
    'handlers/lost.ts': "import '../lib/deep/nowhere.ts'",
    'handlers/broken.ts': "import '../words/broken.ts'",
    'handlers/whole.ts': "import '../index'",
    'index/other.ts': '',
    'words/broken.ts': '(',
    'shared/linked.ts': 'export default {}',
  })
  symlinkSync(path.join(folder, 'shared'), path.join(folder, 'handlers', 'more'))
  symlinkSync(path.join(folder, 'handlers'), path.join(folder, 'shared', 'back'))
  const first = await builder.build()
  assert.deepEqual(
    [first.handlers.map(({ name }) => name), first.failures.length],
    [['more.linked'], 3],
    'the others are not whole yet',
  )
  const below = (build: typeof first): string[] =>
    [...build.folders].map((each) => path.relative(folder, each)).sort()
  assert.deepEqual(below(first), ['', 'handlers', 'handlers/more', 'index', 'shared', 'words'])
  mkdirSync(path.join(folder, 'lib'))
  assert.ok(below(await builder.build()).includes('lib'))
  save('lib/deep/nowhere.ts', '')
  const { handlers, folders } = await builder.build()
  assert.ok(handlers.some(({ name }) => name === 'lost'))
  assert.ok(folders.has(path.join(folder, 'lib', 'deep')))
})
