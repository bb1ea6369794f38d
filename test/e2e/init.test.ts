import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
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
import { type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { projectName } from '#src/cli/project-template.js'
import { run } from '#src/cli/run.js'
import { millrace } from '../support/command-line.ts'
import { eventually } from '../support/eventually.ts'
import { startTestServer } from '../support/nats-server.ts'
import { projectRoot } from '../support/supervisor.ts'

const own = JSON.parse(readFileSync(path.join(projectRoot, 'package.json'), 'utf8')) as {
  version: string
  devDependencies: Record<string, string>
}

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'millrace-init-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Runs a command in this process, which costs less than one of its own. */
async function here(typed: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const said = { stdout: '', stderr: '' }
  const code = await run(typed, {
    print: (text) => {
      said.stdout += `${text}\n`
    },
    narrate: (text) => {
      said.stderr += `${text}\n`
    },
    read: async () => Buffer.alloc(0),
    taken: async () => {},
    wipe: () => {},
    paint: () => {},
    openScreen: () => undefined,
    colours: false,
    barColumns: undefined,
    drawBar: () => {},
    interactive: false,
    ask: async () => '',
    columns: undefined,
  })
  return { code, ...said }
}

/** What `npm install` makes of package.json, with the packages of this project in place of the registry. */
function install(folder: string): void {
  const modules = path.join(folder, 'node_modules')
  mkdirSync(path.join(modules, '.bin'), { recursive: true })
  for (const name of ['typescript', '@types']) {
    symlinkSync(path.join(projectRoot, 'node_modules', name), path.join(modules, name))
  }
  const { dependencies } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as {
    dependencies: { millrace: string }
  }
  const place = path.resolve(folder, dependencies.millrace.replace(/^file:/, ''))
  assert.equal(place, projectRoot, 'the package depends on this one')
  symlinkSync(place, path.join(modules, 'millrace'))
  symlinkSync('../typescript/bin/tsc', path.join(modules, '.bin', 'tsc'))
  writeFileSync(
    path.join(modules, '.bin', 'millrace'),
    '#!/bin/sh\nexec node "$(dirname "$0")/../millrace/dist/cli/main.js" "$@"\n',
    { mode: 0o755 },
  )
}

test('a new project builds, its test passes, and a supervisor runs its handler', async (t) => {
  const folder = path.join(temporaryFolder(t), 'My Jobs')
  const made = await millrace(['init', folder, '--json'], {})
  assert.equal(made.code, 0, made.stderr)
  const { files } = JSON.parse(made.stdout) as { files: string[] }
  const there = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
  assert.deepEqual(there.sort(), files)
  for (const file of ['.gitignore', '.dockerignore', 'Dockerfile', 'compose.yaml', 'README.md'])
    assert.ok(files.includes(file), file)
  for (const file of files) assert.doesNotMatch(readFileSync(path.join(folder, file), 'utf8'), /\{\{/)
  install(folder)

  // The runner of this test would take the reports of the project's for its own.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const npmTest = promisify(execFile)('npm', ['test'], { cwd: folder, env })
  const { stdout } = await npmTest.catch((error: { stdout?: string }) => assert.fail(error.stdout))
  assert.match(stdout, /^(# |ℹ )pass 2$/m)

  const server = await startTestServer(t)
  const settings = { NATS_URL: server.url, MILLRACE_HTTP_PORT: 'off', MILLRACE_THREADS: '1' }
  const supervisor = spawn(path.join(folder, 'node_modules/.bin/millrace'), ['start'], {
    cwd: folder,
    env: { ...env, ...settings },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => supervisor.kill('SIGKILL'))
  let log = ''
  supervisor.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    log += chunk
  })
  await eventually('it runs', () => log.includes('"msg":"running"'))
  const enqueued = await millrace(['enqueue', 'greeting', '{"name":"Ada"}', '--id', 'one'], settings)
  assert.equal(enqueued.code, 0, enqueued.stderr)
  const result = await millrace(['result', 'one', '--wait', '10s'], settings)
  assert.deepEqual([result.code, result.stdout], [0, '"hello Ada"\n'])
  supervisor.kill('SIGTERM')
  assert.equal(await new Promise((resolve) => supervisor.once('close', resolve)), 0)
})

test('a file that is there is never written over, and then nothing is written', async (t) => {
  const folder = temporaryFolder(t)
  writeFileSync(path.join(folder, 'notes.txt'), 'mine')
  writeFileSync(path.join(folder, 'package.json'), 'mine, too')
  const refused = await here(['init', folder])
  assert.deepEqual([refused.code, refused.stdout], [1, ''])
  assert.match(refused.stderr, /^error: package\.json in \S+ would be written over; nothing was written\n$/)
  assert.deepEqual(readdirSync(folder).sort(), ['notes.txt', 'package.json'])
  rmSync(path.join(folder, 'package.json'))
  const elsewhere = temporaryFolder(t)
  for (const [link, reason] of [
    ['Dockerfile', /^error: Dockerfile in \S+ would be written over/],
    ['handlers', /^error: handlers in \S+ would have to be a folder, and no link to one/],
  ] as const) {
    const place = path.join(folder, link)
    symlinkSync(link === 'handlers' ? elsewhere : path.join(elsewhere, 'nothing'), place)
    const linked = await here(['init', folder])
    assert.equal(linked.code, 1)
    assert.match(linked.stderr, reason)
    rmSync(place)
  }
  assert.deepEqual([readdirSync(folder), readdirSync(elsewhere)], [['notes.txt'], []])
  const made = await here(['init', folder, '--millrace', '^9.1.0'])
  assert.equal(made.code, 0, made.stderr)
  assert.ok(made.stdout.split('\n').includes(path.join(folder, 'handlers/greeting.ts')))
  const { dependencies, devDependencies } = JSON.parse(
    readFileSync(path.join(folder, 'package.json'), 'utf8'),
  )
  assert.deepEqual(dependencies, { millrace: '^9.1.0' })
  // The template is compiled with what this project has; an older line there would be one that nobody has tried.
  for (const [name, range] of Object.entries(devDependencies)) {
    assert.equal(range, `^${own.devDependencies[name]}`)
  }
  assert.ok(existsSync(path.join(folder, 'notes.txt')))
})

test('a project has a name that npm accepts', () => {
  const names = { '/a/My Jobs': 'my-jobs', '/a/_x': 'x', '/a/ünïcode': 'n-code', '/': 'millrace-jobs' }
  for (const [folder, name] of Object.entries(names)) assert.equal(projectName(folder), name)
  assert.equal(projectName('/a/millrace'), 'millrace-jobs')
})
