import assert from 'node:assert/strict'
import { getEventListeners, once } from 'node:events'
import { open, readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import rollup from '#src/handlers/report/rollup.js'
import { attempt, createContext, createFolder } from '../fake-context.ts'

const orders = `\uFEFFcountry,id,amount,note
FR,1,10,plain
DE,2,2.5,"with, comma"
FR,3,-4,"with
line break"

DE,4,,"with ""quotes"""
DE,5,n/a,x
`

const report = {
  groupBy: 'country',
  rows: 5,
  groups: [
    { key: 'DE', count: 3, columns: { amount: { count: 1, sum: 2.5, min: 2.5, max: 2.5, notNumbers: 1 } } },
    { key: 'FR', count: 2, columns: { amount: { count: 2, sum: 6, min: -4, max: 10, notNumbers: 0 } } },
  ],
}

async function readJson(path: string): Promise<unknown> {
  return JSON.parse(await readFile(path, 'utf8'))
}

test('a file is grouped by a column and the others are counted and summed', async (t) => {
  const at = await createFolder(t)
  await writeFile(at('orders.csv'), orders)
  await writeFile(at('report.json'), 'from last time')
  const context = createContext()
  const payload = {
    source: at('orders.csv'),
    output: at('report.json'),
    groupBy: 'country',
    columns: ['amount'],
  }
  await attempt(rollup, payload, context)
  assert.deepEqual(await readJson(at('report.json')), report)
  assert.deepEqual(context.lines[0]?.fields, { output: at('report.json'), rows: 5, groups: 2 })
  assert.deepEqual((await readdir(dirname(at('orders.csv')))).sort(), ['orders.csv', 'report.json'])
})

test('a CSV in the body takes the rest from the headers', async (t) => {
  const at = await createFolder(t)
  const headers = {
    'content-type': 'text/csv',
    'rollup-output': at('report.json'),
    'rollup-group-by': 'country',
    'rollup-columns': ' amount ,',
  }
  await attempt(rollup, new TextEncoder().encode(orders), createContext({ headers }))
  assert.deepEqual(await readJson(at('report.json')), report)
})

test('without columns the rows are only counted', async (t) => {
  const at = await createFolder(t)
  const headers = { 'rollup-output': at('report.json'), 'rollup-group-by': 'country' }
  await attempt(rollup, new TextEncoder().encode('country\nFR\n'), createContext({ headers }))
  assert.deepEqual(await readJson(at('report.json')), {
    groupBy: 'country',
    rows: 1,
    groups: [{ key: 'FR', count: 1, columns: {} }],
  })
})

for (const [what, csv] of [
  ['without the group column', 'id,amount\n1,2\n'],
  ['without a number column', 'id,country\n1,FR\n'],
  ['that is empty', ''],
  ['with a row that is too short', 'country,amount\nFR,1\nsecret\n'],
  ['with a quote in the middle', 'country,amount\nsecret"x,1\n'],
  ['with a quote that is never closed', 'country,amount\n"secret\n'],
  ['with a row of megabytes', `country,amount\n"${'secret'.repeat(400_000)}",1\n`],
  [
    'with too many groups',
    `country,amount\n${Array.from({ length: 100_001 }, (_, index) => `${index},1\n`).join('')}`,
  ],
] as const) {
  test(`a CSV ${what} is permanent, is not quoted and leaves the output alone`, async (t) => {
    const at = await createFolder(t)
    await writeFile(at('orders.csv'), csv)
    await writeFile(at('report.json'), 'from last time')
    const payload = {
      source: at('orders.csv'),
      output: at('report.json'),
      groupBy: 'country',
      columns: ['amount'],
    }
    await assert.rejects(attempt(rollup, payload, createContext()), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'permanent_failure')
      assert.doesNotMatch(error.message, /secret/)
      return true
    })
    assert.equal(await readFile(at('report.json'), 'utf8'), 'from last time')
  })
}

test('a CSV body without the headers it needs is permanent', async () => {
  const bytes = new TextEncoder().encode(orders)
  await assert.rejects(attempt(rollup, bytes, createContext()), {
    code: 'permanent_failure',
    message: /Rollup-Output and Rollup-Group-By/,
  })
})

test('a missing file is an ordinary failure', async (t) => {
  const at = await createFolder(t)
  const payload = { source: at('missing'), output: at('report.json'), groupBy: 'country', columns: [] }
  await assert.rejects(attempt(rollup, payload, createContext()), { code: 'ENOENT' })
})

test('an abort ends the reading of a file at once and leaves the output as it was', async (t) => {
  const at = await createFolder(t)
  await writeLargeFile(at('orders.csv'), 1_000)
  // Zeros follow, one row that never ends: an attempt that reads on comes to the row limit instead.
  await truncate(at('orders.csv'), 1024 ** 3)
  await writeFile(at('report.json'), 'from last time')
  const context = createContext()
  const payload = {
    source: at('orders.csv'),
    output: at('report.json'),
    groupBy: 'country',
    columns: ['amount'],
  }
  const refused = assert.rejects(attempt(rollup, payload, context), { code: 'deadline' })
  while (getEventListeners(context.signal, 'abort').length === 0) {
    await new Promise((resolve) => setImmediate(resolve))
  }
  context.abort('deadline')
  await refused
  assert.equal(await readFile(at('report.json'), 'utf8'), 'from last time')
  assert.deepEqual(context.lines, [])
})

test('a file larger than the memory of its thread is rolled up', async (t) => {
  const at = await createFolder(t)
  await writeLargeFile(at('orders.csv'), 800_000)
  const payload = {
    source: at('orders.csv'),
    output: at('report.json'),
    groupBy: 'country',
    columns: ['amount'],
  }
  const code = `
    import { workerData } from 'node:worker_threads'
    const { default: rollup } = await import(workerData.handler)
    const logger = { info() {} }
    await rollup.run(workerData.payload, { job: {}, signal: new AbortController().signal, logger })`
  const thread = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), {
    workerData: { handler: import.meta.resolve('#src/handlers/report/rollup.js'), payload },
    resourceLimits: { maxOldGenerationSizeMb: 16 },
  })
  const [exitCode] = await once(thread, 'exit')
  assert.equal(exitCode, 0)
  const { rows, groups } = (await readJson(at('report.json'))) as typeof report
  assert.deepEqual([rows, groups.length, groups[0]?.count], [800_000, 4, 200_000])
})

/** About 24 bytes a row, in four groups. */
async function writeLargeFile(path: string, rows: number): Promise<void> {
  const file = await open(path, 'w')
  await file.write('id,country,amount\n')
  for (let row = 0; row < rows; row += 1_000) {
    const lines = Array.from({ length: 1_000 }, (_, index) => `${row + index},country-${index % 4},1.5\n`)
    await file.write(lines.join(''))
  }
  await file.close()
}
