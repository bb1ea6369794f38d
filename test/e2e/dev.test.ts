import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { type RunningCommand, startMillrace } from '../support/command-line.ts'
import { eventually, GiveUp } from '../support/eventually.ts'
import { JetStreamView } from '../support/jetstream-view.ts'
import { serverBinary } from '../support/nats-server.ts'
import { projectRoot } from '../support/supervisor.ts'
import { tempDir } from '../support/temp-dir.ts'

/** A project of somebody else's that has Millrace installed, and `millrace dev` in it. */
class Project {
  readonly folder: string
  readonly dev: RunningCommand
  #told = 0

  static async start(t: TestContext, files: Record<string, string>): Promise<Project> {
    const folder = await tempDir(t)
    const project = new Project(folder, files)
    t.after(() => project.dev.kill('SIGKILL'))
    return project
  }

  private constructor(folder: string, files: Record<string, string>) {
    this.folder = folder
    mkdirSync(path.join(folder, 'node_modules'))
    symlinkSync(projectRoot, path.join(folder, 'node_modules', 'millrace'))
    this.save('package.json', '{"type":"module"}')
    mkdirSync(path.join(folder, 'handlers'))
    for (const [file, text] of Object.entries(files)) this.save(file, text)
    const env = {
      MILLRACE_NATS_SERVER: serverBinary,
      MILLRACE_HTTP_PORT: '0',
      MILLRACE_THREADS: '1',
      LEDGER: this.#path('ledger'),
      GATE: this.#path('gate'),
    }
    this.dev = startMillrace(['dev', '--port', '0', '--temporary'], env, '', {
      cwd: folder,
      timeoutMs: 280_000,
    })
  }

  save(file: string, text: string): void {
    mkdirSync(path.dirname(this.#path(file)), { recursive: true })
    writeFileSync(this.#path(file), text)
  }

  remove(file: string): void {
    rmSync(this.#path(file))
  }

  openGate(): void {
    this.save('gate', '')
  }

  /** What handlers have written so far. */
  get ledger(): string[] {
    return existsSync(this.#path('ledger'))
      ? readFileSync(this.#path('ledger'), 'utf8').trimEnd().split('\n')
      : []
  }

  wrote(line: string): Promise<unknown> {
    return eventually(`${line} is in ${this.ledger}, after ${this.dev.stderr}`, () =>
      this.ledger.includes(line),
    )
  }

  /** Waits until it is told, after what was told before. */
  async told(pattern: RegExp): Promise<string> {
    const ended = this.dev.ended.then(() => true)
    const found = await eventually(
      `${pattern} is told`,
      async () => {
        const match = pattern.exec(this.dev.stderr.slice(this.#told))
        if (!match && (await Promise.race([ended, false]))) throw new GiveUp(this.dev.stderr)
        if (!match) throw new Error(this.dev.stderr.slice(this.#told))
        return match
      },
      120_000,
    )
    this.#told += found.index + found[0].length
    return found[0]
  }

  /** The processes below `millrace dev`. */
  get children(): number[] {
    const all = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/\s+/).map(Number))
    const below = new Set([this.dev.pid])
    // A parent has not always the smaller number.
    for (let before = 0; before < below.size; ) {
      before = below.size
      for (const [pid, parent] of all) if (below.has(parent!)) below.add(pid!)
    }
    below.delete(this.dev.pid)
    return [...below]
  }

  get leftFolders(): string[] {
    return readdirSync(this.#path('.millrace')).filter((name) => name.startsWith('build-'))
  }

  #path(file: string): string {
    return path.join(this.folder, file)
  }
}

/** Writes its version and waits for the gate if it is told to. Types that only a compiler removes are in it. */
function handler(version: string, more = ''): string {
  return `import { appendFileSync, existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { defineHandler } from 'millrace'
import { word } from '../lib/word.ts'
enum Step { Start = 'start', End = 'end' }
const note = (step: Step, id: string): void => appendFileSync(process.env['LEDGER']!, step + ' ${version} ' + word + ' ' + id + '\\n')
export default defineHandler<{ hold?: boolean; die?: boolean }>({
  retry: { maxAttempts: 1 },
  async run({ hold, die }, { job }) {
    note(Step.Start, job.id)
    if (die) process.kill(process.pid, 'SIGKILL')
    while (hold && !existsSync(process.env['GATE']!)) await sleep(20)
    note(Step.End, job.id)${more}
  },
})
`
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

test('dev runs what is saved, and loses no job over it', async (t) => {
  const project = await Project.start(t, {
    'lib/word.ts': "export const word: string = 'red'\n",
    'handlers/work.ts': handler('v1'),
  })
  const banner = await project.told(/millrace dev is ready[\s\S]*?Ctrl-C .*\n/)
  const url = /nats:\S+/.exec(banner)![0]
  assert.match(banner, /health +http:\/\/127\.0\.0\.1:\d+\/readyz\n +metrics +http/)
  assert.ok(banner.includes(`try       NATS_URL=${url} npx millrace enqueue work '{}'\n`), banner)
  const broker = await JetStreamView.connect(url)
  t.after(() => broker.nc.close())

  await t.test('a job that runs while its handler is saved ends in the old code, once', async () => {
    const job = { headers: { 'Millrace-Max-Attempts': '3' } }
    await broker.enqueue('work', { hold: true }, { id: 'held', ...job })
    await project.wrote('start v1 red held')
    project.save('handlers/work.ts', handler('v2'))
    await project.told(/reloaded in \d+ ms: work\n/)
    await broker.enqueue('work', {}, { id: 'new', ...job })
    await project.wrote('end v2 red new')
    project.openGate()
    await project.wrote('end v1 red held')
    await broker.drained()
    assert.deepEqual(project.ledger, [
      'start v1 red held',
      'start v2 red new',
      'end v2 red new',
      'end v1 red held',
    ])
  })

  await t.test('health stays where it was', async () => {
    const { status } = await fetch(/http\S+readyz/.exec(banner)![0])
    assert.equal(status, 200)
  })

  await t.test('a file that a handler imports from outside of the folder counts, too', async () => {
    project.save('lib/word.ts', "export const word: string = 'blue'\n")
    await project.told(/reloaded in \d+ ms: work\n/)
    await broker.enqueue('work', {}, { id: 'blue' })
    await project.wrote('end v2 blue blue')
  })

  await t.test('what does not compile, or does not load, is told, and the last version goes on', async () => {
    project.save('handlers/work.ts', handler('v3', ' ('))
    await project.told(
      /work does not compile, its last version goes on:\n +handlers\/work\.ts:14:3: Unexpected/,
    )
    await broker.enqueue('work', {}, { id: 'last' })
    await project.wrote('end v2 blue last')
    project.save('handlers/work.ts', `throw new Error('not today')\n${handler('v3')}`)
    await project.told(/work does not load, its last version goes on:\n +handlers\/work\.ts:1:7: not today/)
    await broker.enqueue('work', {}, { id: 'again' })
    await project.wrote('end v2 blue again')
    const scheduled = handler('v3').replace('retry:', "schedule: { cron: '99 * * * *' }, retry:")
    project.save('handlers/work.ts', scheduled)
    // That the last version runs with its own options, the next state of the handlers shows.
    await project.told(/work does not load, its last version goes on:\n[^\n]*99 \* \* \* \*/)
  })

  await t.test('one that did not load is tried again with the next change', async () => {
    project.save('handlers/needs.ts', `import 'not-yet-installed'\n${handler('p1')}`)
    await project.told(
      /needs does not load, its jobs wait:\n[^\n]*Cannot find package 'not-yet-installed' imported from needs\.mjs/,
    )
    project.save('node_modules/not-yet-installed/package.json', '{"main":"index.js"}')
    project.save('node_modules/not-yet-installed/index.js', '')
    project.save('handlers/needs.ts', `import 'not-yet-installed'\n${handler('p1')}`)
    await project.told(/reloaded in \d+ ms: needs \(new\)\n/)
    await broker.enqueue('work', {}, { id: 'beside' })
    await project.wrote('end v2 blue beside')
    project.remove('handlers/needs.ts')
    await project.told(/reloaded in \d+ ms: needs \(gone, its jobs wait\)\n/)
    project.save('handlers/work.ts', handler('v2'))
    await project.told(/work is what runs again\n/)
  })

  await t.test('a new file is a new handler; one that is gone leaves its jobs waiting', async () => {
    project.save('handlers/deep/new.ts', handler('n1').replace('../lib', '../../lib'))
    await project.told(/reloaded in \d+ ms: deep\.new \(new\)\n/)
    await broker.enqueue('deep.new', {}, { id: 'deep' })
    await project.wrote('end n1 blue deep')
    project.remove('handlers/deep/new.ts')
    await project.told(/reloaded in \d+ ms: deep\.new \(gone, its jobs wait\)\n/)
    await broker.enqueue('deep.new', {}, { id: 'waits' })
    await broker.enqueue('work', {}, { id: 'goes' })
    await project.wrote('end v2 blue goes')
    project.save('handlers/deep/new.ts', handler('n2').replace('../lib', '../../lib'))
    await project.wrote('end n2 blue waits')
  })

  await t.test('a handler that ends the whole process is started again', async () => {
    await broker.enqueue('work', { die: true }, { id: 'deadly' })
    await project.told(/the process that runs the handlers has ended: SIGKILL\n/)
    await broker.enqueue('work', {}, { id: 'after' })
    await project.wrote('end v2 blue after')
  })

  await t.test('Ctrl-C leaves no process and no file', async () => {
    const children = project.children
    assert.ok(children.length >= 3, 'the compiler, the handlers, the keeper of the broker and the broker')
    project.dev.kill('SIGINT')
    const { code, stderr } = await project.dev.ended
    assert.equal(code, 0, stderr)
    await eventually('all have ended', () => !children.some(isAlive))
    assert.deepEqual(project.leftFolders, [])
  })
})

test('dev waits for the first handler, and leaves no process when it is killed', async (t) => {
  const project = await Project.start(t, { 'lib/word.ts': "export const word = 'red'\n" })
  await project.told(/handlers +none in handlers yet\n/)
  project.save('handlers/work.ts', handler('v1'))
  await project.told(/reloaded in \d+ ms: work \(new\)\n/)
  const children = project.children
  assert.ok(children.length >= 3)
  project.dev.kill('SIGKILL')
  await eventually('all have ended', () => !children.some(isAlive))
})
