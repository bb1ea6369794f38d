import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { catalogHandlers, type HandlerCatalog } from '#src/threads/handler-catalog.js'
import { tempDir } from '../support/temp-dir.ts'

/** Writes one file for each handler, and catalogs them. */
async function catalogOf(
  t: TestContext,
  sources: Record<string, string>,
  importMs = 5_000,
): Promise<HandlerCatalog> {
  const dir = await tempDir(t)
  const files = await Promise.all(
    Object.entries(sources).map(async ([name, source]) => {
      const file = path.join(dir, `${name}.${source.includes('module.exports') ? 'cjs' : 'mjs'}`)
      await writeFile(file, source)
      return { name, url: pathToFileURL(file).href }
    }),
  )
  return catalogHandlers(files, importMs)
}

const good = 'export default () => {}'
const namesOf = (catalog: HandlerCatalog) => catalog.handlers.map(({ file }) => file.name)
const faultsOf = (catalog: HandlerCatalog) => catalog.faults.map(({ name, code }) => `${name} ${code}`)

test('functions and definitions are handlers, with their plain options', async (t) => {
  const catalog = await catalogOf(t, {
    fn: good,
    definition: 'export default { deadlineMs: 50, pool: "io", retry: { maxAttempts: 2 }, async run() {} }',
    schema:
      'export default { schema: { "~standard": { version: 1, vendor: "x", validate: (value) => ({ value }) } }, run() {} }',
    cjs: 'module.exports = { graceMs: 5, run() {} }',
    transpiled:
      'Object.defineProperty(module.exports, "__esModule", { value: true }); module.exports.default = () => {}',
  })
  assert.deepEqual(catalog.faults, [])
  assert.deepEqual(
    catalog.handlers.map(({ file, options }) => [file.name, options]),
    [
      ['fn', {}],
      ['definition', { deadlineMs: 50, pool: 'io', retry: { maxAttempts: 2 } }],
      ['schema', {}],
      ['cjs', { graceMs: 5 }],
      ['transpiled', {}],
    ],
  )
})

test('a wrong export is a fault that lists every problem, and the others are handlers', async (t) => {
  const catalog = await catalogOf(t, {
    a: good,
    nothing: 'export const run = () => {}',
    number: 'export default 5',
    wrong: 'export default { run: 1, deadline: 5 }',
    z: good,
  })
  assert.deepEqual(namesOf(catalog), ['a', 'z'])
  assert.deepEqual(faultsOf(catalog), [
    'nothing invalid_definition',
    'number invalid_definition',
    'wrong invalid_definition',
  ])
  assert.match(catalog.faults[2]!.message, /unknown field "deadline".*; run must be a function/)
})

test('an import that throws is a fault with the reason, whatever is thrown', async (t) => {
  const catalog = await catalogOf(t, {
    a: good,
    broken: 'export default () => {',
    missing: 'import "./nowhere.mjs"; export default () => {}',
    nothing: 'throw null',
    thrown: 'throw new Error("no database")',
    z: good,
  })
  assert.deepEqual(namesOf(catalog), ['a', 'z'])
  assert.deepEqual(faultsOf(catalog), [
    'broken handler_import_failed',
    'missing handler_import_failed',
    'nothing handler_import_failed',
    'thrown handler_import_failed',
  ])
  assert.equal(catalog.faults[3]!.message, 'no database')
})

test('a fault names the place in the file of the handler, and none of ours', async (t) => {
  const catalog = await catalogOf(t, {
    missing: "import 'no-such-package'\nexport default () => {}",
    thrown: "\nthrow new Error('not ready')",
  })
  const places = catalog.faults.map(({ name, at }) => `${name} ${at?.replace(/^.*\//, '')}`)
  assert.deepEqual(places, ['missing undefined', 'thrown thrown.mjs:2:7'])
})

test('an import that ends its thread is a fault of that handler alone', async (t) => {
  const catalog = await catalogOf(t, {
    a: good,
    exits: 'process.exit(3)',
    rejects:
      'Promise.reject(new Error("nobody waits")); await new Promise((resolve) => setTimeout(resolve, 60_000))',
    stalls: 'await new Promise(() => {})',
    throws:
      'setTimeout(() => { throw new Error("later") }); await new Promise((resolve) => setTimeout(resolve, 60_000))',
    z: good,
  })
  assert.deepEqual(namesOf(catalog), ['a', 'z'])
  assert.deepEqual(faultsOf(catalog), [
    'exits handler_import_failed',
    'rejects handler_import_failed',
    'stalls handler_import_failed',
    'throws handler_import_failed',
  ])
  assert.match(catalog.faults[0]!.message, /exit code 3/)
  assert.match(catalog.faults[1]!.message, /nobody waits/)
  assert.match(catalog.faults[3]!.message, /later/)
})

test('an import that hangs is given up on after its time, and the others are handlers', async (t) => {
  const catalog = await catalogOf(
    t,
    {
      a: good,
      loop: 'while (true) {}',
      waits: 'setInterval(() => {}, 1000); await new Promise(() => {})',
      z: good,
    },
    400,
  )
  assert.deepEqual(namesOf(catalog), ['a', 'z'])
  assert.deepEqual(faultsOf(catalog), ['loop handler_import_failed', 'waits handler_import_failed'])
  for (const { message } of catalog.faults) assert.match(message, /took longer than 400 ms/)
})

test('what a file leaves running keeps nobody waiting', async (t) => {
  const catalog = await catalogOf(t, { a: `setInterval(() => {}, 1000); ${good}`, b: good })
  assert.deepEqual(namesOf(catalog), ['a', 'b'])
})

test('no files are no handlers', async () => {
  assert.deepEqual(await catalogHandlers([], 1_000), { handlers: [], faults: [] })
})
