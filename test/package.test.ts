import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'

const root = path.resolve(import.meta.dirname, '../..')
const run = promisify(execFile)
const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
  bin: Record<string, string>
  exports: Record<string, string | { types: string; default: string }>
}

test('everything that the package exports and runs is in what is packed', async () => {
  const { stdout } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root })
  const [packed] = JSON.parse(stdout) as { files: { path: string }[] }[]
  const files = new Set(packed!.files.map((file) => file.path))
  const promised = Object.values(manifest.exports).flatMap((entry) =>
    typeof entry === 'string' ? [entry] : [entry.types, entry.default],
  )
  for (const file of [...promised, ...Object.values(manifest.bin)].map((file) => path.normalize(file)))
    assert.ok(files.has(file), `${file} is not packed`)
  // npm leaves some names out wherever they are, .gitignore among them.
  for (const file of listFiles('template')) assert.ok(files.has(file), `${file} is not packed`)
  assert.deepEqual(Object.keys(manifest.exports), ['.', './client', './testing', './package.json'])
})

test('an application outside finds the client, its types and the command', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'millrace-app-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  mkdirSync(path.join(folder, 'node_modules'))
  symlinkSync(root, path.join(folder, 'node_modules', 'millrace'))
  writeFileSync(path.join(folder, 'package.json'), '{"type":"module"}')
  writeFileSync(
    path.join(folder, 'app.ts'),
    `import { type Client, createClient, type JobOutcome, MillraceError } from 'millrace/client'
async function sum(client: Client): Promise<number | undefined> {
  const { id, sequence, duplicate } = await client.enqueue('sum', [1, 2], { priority: 'high', delayMs: sequenceless })
  const outcome: JobOutcome<{ sum: number }> = await client.waitFor<{ sum: number }>(id, { timeoutMs: 1 })
  console.log(sequence + 1, duplicate === true)
  return outcome.kind === 'completed' ? outcome.result?.sum : undefined
}
const sequenceless = 1
console.log(typeof createClient, typeof sum, new MillraceError('invalid_job', 'x').code)
// @ts-expect-error There is no such priority.
export const wrong = (client: Client) => client.enqueue('sum', 1, { priority: 'urgent' })
`,
  )
  const compilerOptions = {
    module: 'NodeNext',
    target: 'ES2023',
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: true,
    types: [],
    lib: ['ES2023', 'DOM', 'esnext.disposable'],
  }
  writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions }))
  const compiler = path.join(root, 'node_modules', '.bin', 'tsc')
  const compiled = await run(compiler, ['-p', folder]).catch((error: { stdout?: string }) => error)
  assert.equal(compiled.stdout, '')
  const { stdout } = await run(process.execPath, [path.join(folder, 'app.js')])
  assert.equal(stdout, 'function function invalid_job\n')
  const command = path.join(folder, 'node_modules', 'millrace', manifest.bin['millrace']!)
  assert.match((await run(process.execPath, [command, '--help'])).stdout, /usage: millrace/)
  assert.ok(readFileSync(command, 'utf8').startsWith('#!/usr/bin/env node\n'))
})

test('the client pulls in the packages of NATS and no other, no thread and no logger', () => {
  const { files, packages } = reach('dist/client/index.js')
  assert.deepEqual(
    [...packages].filter((name) => !name.startsWith('@nats-io/')),
    [],
  )
  assert.deepEqual(
    [...files].filter((file) => /dist\/(threads|telemetry|engine|runtime)\//.test(file)),
    [],
  )
  assert.ok(files.size > 20, 'the walk has found the files')
})

test('the testing kit belongs to no test runner, and pulls in no thread, no logger and no metrics', () => {
  const { files, packages, nodeModules } = reach('dist/testing/index.js')
  assert.deepEqual(
    [...nodeModules].filter((name) => name.startsWith('node:test')),
    [],
  )
  assert.deepEqual(
    [...packages].filter((name) => !name.startsWith('@nats-io/') && name !== 'croner'),
    [],
  )
  assert.ok(files.has('dist/engine/engine.js'), 'it runs the real engine')
})

function listFiles(folder: string): string[] {
  return readdirSync(path.join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)))
}

/** Every file and package that an entry imports, whatever is imported lazily left out. */
function reach(entry: string): { files: Set<string>; packages: Set<string>; nodeModules: Set<string> } {
  const files = new Set<string>()
  const nodeModules = new Set<string>()
  const packages = new Set<string>()
  const visit = (file: string): void => {
    if (files.has(file)) return
    files.add(file)
    for (const [, specifier] of readFileSync(path.join(root, file), 'utf8').matchAll(
      /^(?:import|export)(?:\s[^'"`;=]*?\sfrom)?\s+['"]([^'"]+)['"]/gm,
    )) {
      if (specifier!.startsWith('.')) visit(path.join(path.dirname(file), specifier!))
      else if (specifier!.startsWith('node:')) nodeModules.add(specifier!)
      else packages.add(specifier!)
    }
  }
  visit(entry)
  for (const file of files) assert.ok(existsSync(path.join(root, file)))
  return { files, packages, nodeModules }
}
