import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import path from 'node:path'
import { test } from 'node:test'

const src = path.resolve(import.meta.dirname, '../../src')

interface Import {
  /** Relative to src/, with forward slashes. */
  readonly from: string
  /** As it is written. */
  readonly specifier: string
  /** The folder or file of src/ that it leads to; undefined for a package. */
  readonly to: string | undefined
  readonly typesOnly: boolean
}

const files = readdirSync(src, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
  .map((entry) => path.relative(src, path.join(entry.parentPath, entry.name)).split(path.sep).join('/'))
  .sort()

const imports = files.flatMap(importsOf)

/** Which folders each folder of src/ may import, besides itself; a folder that is missing here is an error. */
const allowed: Record<string, readonly string[]> = {
  core: [],
  engine: ['core'],
  nats: ['core', 'engine'],
  tracing: ['core'],
  threads: ['core', 'engine', 'tracing'],
  telemetry: ['core', 'engine', 'tracing'],
  http: ['core', 'engine'],
  config: ['core'],
  broker: ['core'],
  schedules: ['core'],
  client: ['core', 'config', 'nats', 'tracing'],
  testing: ['core', 'engine', 'threads', 'client', 'config', 'runtime', 'broker', 'schedules'],
  cli: ['core', 'config', 'client', 'threads', 'dev', ''],
  dev: ['core', 'config', 'broker', 'http', 'telemetry', 'threads', 'runtime'],
  runtime: [
    'core',
    'engine',
    'nats',
    'threads',
    'telemetry',
    'http',
    'config',
    'broker',
    'schedules',
    'client',
  ],
}

/**
 * Types that adapters may take from each other, because writing them twice would let them drift:
 * checked settings are what an adapter is made with, a metric shows what JetStream counts, and a broker in memory
 * is to a client what JetStream is.
 */
const sharedTypes: readonly (readonly [from: string, to: string])[] = [
  ['nats', 'config/settings.ts'],
  ['threads', 'config/settings.ts'],
  ['telemetry', 'config/settings.ts'],
  ['http', 'config/settings.ts'],
  ['telemetry', 'nats/queue-depth.ts'],
  ['testing', 'nats/client-broker.ts'],
]

/** The only folders that know a package. */
const packages: Record<string, readonly string[]> = {
  '@nats-io/': ['nats'],
  esbuild: ['dev'],
  piscina: ['threads'],
  croner: ['schedules'],
  pino: ['telemetry', 'threads'],
  'prom-client': ['telemetry'],
  '@opentelemetry/': ['tracing'],
}

test('imports point from the concrete to the pure, and adapters know nothing of each other', () => {
  const wrong = imports
    .filter(({ from, to, typesOnly }) => {
      if (to === undefined) return false
      const folder = folderOf(from)
      // Entries at the top of src/ put everything together.
      if (folder === '' || folder === folderOf(to)) return false
      if (allowed[folder]?.includes(folderOf(to))) return false
      return !(typesOnly && sharedTypes.some(([one, other]) => one === folder && other === to))
    })
    .map(({ from, specifier }) => `${from} -> ${specifier}`)
  assert.deepEqual(wrong, [])
})

test('core and engine import no package and nothing of Node', () => {
  const wrong = imports
    .filter(({ from, to }) => to === undefined && ['core', 'engine'].includes(folderOf(from)))
    .map(({ from, specifier }) => `${from} -> ${specifier}`)
  assert.deepEqual(wrong, [])
})

test('the ports of the engine are types alone', () => {
  const ports = files.filter((file) => file.endsWith('-port.ts'))
  assert.ok(ports.length > 5)
  assert.deepEqual(
    ports.filter((file) => folderOf(file) !== 'engine'),
    [],
  )
  const code = /^(export )?(default|const|let|function|async|class|abstract|enum)\b/m
  assert.deepEqual(
    ports.filter((file) => code.test(codeOf(file))),
    [],
  )
})

test('each package is known to the folders that it belongs to and no others', () => {
  const wrong = imports
    .filter(({ from, to, specifier }) => {
      if (to !== undefined || specifier.startsWith('node:')) return false
      const homes = Object.entries(packages).find(([name]) => specifier.startsWith(name))?.[1]
      return !homes?.includes(folderOf(from))
    })
    .map(({ from, specifier }) => `${from} -> ${specifier}`)
  assert.deepEqual(wrong, [])
})

test("Node's own modules are imported by their node: names", () => {
  const wrong = imports.filter(({ specifier }) => builtinModules.includes(specifier))
  assert.deepEqual(wrong, [])
})

test('every folder of src/ has its place in the order, and none is a drawer for leftovers', () => {
  const folders = new Set(files.map(folderOf).filter((folder) => folder !== ''))
  assert.deepEqual(
    [...folders].filter((folder) => !(folder in allowed)),
    [],
    'say in this test what it may import',
  )
  const drawers = /^(utils?|helpers?|common|types|interfaces|constants|misc|shared|lib)$/
  assert.deepEqual(
    files.filter((file) => file.split('/').some((part) => drawers.test(part.replace(/\.ts$/, '')))),
    [],
  )
  assert.deepEqual(
    files.filter((file) => file.split('/').length > 2),
    [],
    'folders are one deep',
  )
})

test('files are named in kebab-case', () => {
  assert.deepEqual(
    files.filter((file) => !/^([a-z0-9]+(-[a-z0-9]+)*\/)?[a-z0-9]+(-[a-z0-9]+)*\.ts$/.test(file)),
    [],
  )
})

/**
 * Bare errors that never leave their file: a `catch` in it, or in the one caller that is named, turns
 * them into a `MillraceError` or a line of narration.
 */
const caughtBareErrors: Record<string, string> = {
  'broker/apt-source.ts': 'obtain-server.ts collects the reasons of all sources into server_not_found',
  'broker/release-source.ts': 'obtain-server.ts collects the reasons of all sources into server_not_found',
  'nats/attempts-bucket.ts': 'a bucket that does not answer is told to the observer and done without',
  'nats/complaints.ts': 'an error that is reported, as an event of the connection, and never thrown',
  'nats/connection.ts': 'wraps what the client reports as something else than an error',
  'nats/requests.ts': 'as with attempts-bucket.ts, which asks through it',
  'threads/handlers-folder.ts': 'caught three lines below as the cause of handlers_missing',
}

test('no bare error is thrown where somebody else could meet it', () => {
  const bare = files.filter((file) => /\bnew Error\(/.test(codeOf(file)))
  assert.deepEqual(
    bare.filter((file) => !(file in caughtBareErrors)),
    [],
    'throw a MillraceError with a code',
  )
  assert.deepEqual(
    Object.keys(caughtBareErrors).filter((file) => !bare.includes(file)),
    [],
    'no longer needed',
  )
})

test('core and engine have no timer, no clock and no process of their own', () => {
  const impure = /\b(setTimeout|setInterval|Date\.now|performance\.|process\.|Math\.random|new Date\(\))/
  const pure = files.filter((file) => ['core', 'engine'].includes(folderOf(file)))
  assert.ok(pure.length > 20)
  assert.deepEqual(
    pure.filter((file) => impure.test(codeOf(file).replace(/'[^'\n]*'/g, ''))),
    [],
  )
})

test('the way in which this test reads imports finds every form of them', () => {
  const found = readImports(`
    import 'a'
    import type { B } from 'b'
    import { type C, type D } from 'c'
    import {
      e,
      type F,
    } from 'd'
    export * from 'e'
    export type { G } from 'f'
    const lazy = await import('g')
    const type = {} as typeof import('h')
    // import 'comment'
    /** import { x } from 'comment' */
  `)
  assert.deepEqual(found, [
    { specifier: 'a', typesOnly: false },
    { specifier: 'b', typesOnly: true },
    { specifier: 'c', typesOnly: true },
    { specifier: 'd', typesOnly: false },
    { specifier: 'e', typesOnly: false },
    { specifier: 'f', typesOnly: true },
    { specifier: 'g', typesOnly: false },
    { specifier: 'h', typesOnly: true },
  ])
})

function folderOf(file: string): string {
  return file.includes('/') ? file.slice(0, file.indexOf('/')) : ''
}

function importsOf(from: string): Import[] {
  return readImports(readFileSync(path.join(src, from), 'utf8')).map(({ specifier, typesOnly }) => ({
    from,
    specifier,
    to: specifier.startsWith('.') ? path.posix.join(path.posix.dirname(from), specifier) : undefined,
    typesOnly,
  }))
}

function readImports(source: string): { specifier: string; typesOnly: boolean }[] {
  const code = withoutComments(source)
  const found: { at: number; specifier: string; typesOnly: boolean }[] = []
  const add = (match: RegExpExecArray, specifier: string, typesOnly: boolean): void => {
    found.push({ at: match.index, specifier, typesOnly })
  }
  for (const match of code.matchAll(/^\s*(?:import|export)\s([^'"`;=]*?)\sfrom\s+['"]([^'"]+)['"]/gm)) {
    const clause = match[1]!.trim()
    const names = /^\{([\s\S]*)\}$/
      .exec(clause)?.[1]
      ?.split(',')
      .map((name) => name.trim())
      .filter(Boolean)
    add(
      match,
      match[2]!,
      clause.startsWith('type ') || names?.every((name) => name.startsWith('type ')) === true,
    )
  }
  for (const match of code.matchAll(/^\s*import\s+['"]([^'"]+)['"]/gm)) add(match, match[1]!, false)
  for (const match of code.matchAll(/(typeof\s+)?\bimport\(\s*['"]([^'"]+)['"]\s*\)(\.\w+)?/g)) {
    add(match, match[2]!, match[1] !== undefined || /^\.[A-Z]/.test(match[3] ?? ''))
  }
  return found.sort((a, b) => a.at - b.at).map(({ specifier, typesOnly }) => ({ specifier, typesOnly }))
}

function codeOf(file: string): string {
  return withoutComments(readFileSync(path.join(src, file), 'utf8'))
}

// Good enough for our own sources: no string of theirs holds the beginning of a comment after a space.
function withoutComments(source: string): string {
  return source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1')
}
