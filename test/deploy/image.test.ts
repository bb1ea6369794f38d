import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { settingNames, settingTable } from '#src/config/table.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const read = (file: string) => readFileSync(path.join(root, file), 'utf8')
const dockerfile = parseDockerfile(read('Dockerfile'))
const finalStage = dockerfile.slice(dockerfile.findLastIndex(({ name }) => name === 'FROM'))
const compose = withoutComments(read('compose.yaml'))
const unit = withoutComments(read('deploy/millrace.service'))

test('every setting that a deployment file names exists', () => {
  const known = new Set(
    settingNames.flatMap((name) => {
      const { variable } = settingTable[name]
      return [variable, `${variable}_FILE`]
    }),
  )
  const files = [
    'Dockerfile',
    'compose.yaml',
    'template/Dockerfile',
    'template/compose.yaml',
    ...listFiles('deploy').filter((file) => !file.startsWith('deploy/nats/')),
    'docs/deployment.md',
  ]
  for (const file of files) {
    // What ends in a star or an underscore is a prefix.
    const named = read(file).match(/\b(MILLRACE|NATS)_[A-Z0-9_]*[A-Z0-9]\b(?!_)/g) ?? []
    const unknown = named.filter((name) => !known.has(name) && !/^NATS_\w+_PASSWORD$/.test(name))
    assert.deepEqual(unknown, [], `${file} names settings that do not exist`)
  }
})

test('what the image copies from the project exists, and the context does not leave it out', () => {
  const ignored = withoutComments(read('.dockerignore')).split('\n')
  const copied = dockerfile.filter(({ name, text }) => name === 'COPY' && !text.includes('--from='))
  assert.ok(copied.length > 0)
  for (const source of copied.flatMap(({ text }) => text.split(/\s+/).slice(0, -1))) {
    assert.ok(existsSync(path.join(root, source)), `${source} does not exist`)
    const isExcepted = ignored.includes(`!${source}`)
    const top = source.split('/')[0]!
    assert.ok(
      isExcepted || !ignored.some((line) => line === top || line === `${top}/*`),
      `${source} is ignored`,
    )
  }
})

test('what package.json offers to run is in the image', () => {
  const {
    bin = {},
    exports,
    files,
  } = JSON.parse(read('package.json')) as {
    bin?: string | Record<string, string>
    exports: unknown
    files: string[]
  }
  const entries = [
    ...(typeof bin === 'string' ? [bin] : Object.values(bin)),
    ...(JSON.stringify(exports).match(/\.\/[^"]+\.(json|js)/g) ?? []),
    ...files.filter((file) => !file.startsWith('!')),
  ]
  const copied = finalStage
    .filter(({ name }) => name === 'COPY')
    .flatMap(({ text }) => text.split(/\s+/).slice(0, -1))
    .map((source) => path.basename(source))
  for (const entry of entries) {
    const top = path.normalize(entry).split(path.sep)[0]!
    assert.ok(copied.includes(top), `${entry} is not copied into the image`)
  }
})

test('the handlers of the image find every package of the example handlers', () => {
  const lock = JSON.parse(read('package-lock.json')) as { packages: Record<string, unknown> }
  const nested = Object.keys(lock.packages).filter((place) => place.startsWith('handlers/node_modules/'))
  assert.deepEqual(nested, [], 'the image copies the node_modules of the root only')
})

test('all agree on the port', () => {
  const port = String(settingTable.httpPort.default.value())
  assert.equal(only('EXPOSE').text, port)
  assert.match(compose, new RegExp(`127\\.0\\.0\\.1:${port}:${port}$`, 'm'))
  assert.ok(read('deploy/healthcheck.mjs').includes(`|| '${port}'`))
  assert.ok(read('deploy/healthcheck.mjs').includes(`|| '${settingTable.httpHost.default.value()}'`))
})

test('compose publishes ports on loopback only, and asks NATS where it listens', () => {
  const published = compose.match(/^ +- [\d.:]+:\d+$/gm) ?? []
  assert.equal(published.length, 2)
  for (const line of published) assert.match(line, /- 127\.0\.0\.1:(\d+):\1$/)
  const conf = withoutComments(read('deploy/nats/single.conf'))
  const monitoring = /^http: 127\.0\.0\.1:(\d+)$/m.exec(conf)?.[1]
  assert.ok(compose.includes(`http://127.0.0.1:${monitoring}/healthz`))
  assert.match(conf, /^listen: 0\.0\.0\.0:4222$/m)
  assert.match(conf, /^ +sync_interval: always$/m)
  const store = /store_dir: (\S+)/.exec(conf)?.[1]
  assert.match(compose, new RegExp(`- nats:${store}$`, 'm'))
})

test('whoever stops the supervisor waits until it has drained', () => {
  const drain = /MILLRACE_DRAIN_MS: '(\d+)'/.exec(compose)?.[1]
  const grace = /MILLRACE_GRACE_MS: '(\d+)'/.exec(compose)?.[1]
  const composeWaits = /supervisor:[\s\S]*stop_grace_period: (\d+)s/.exec(compose)?.[1]
  assert.ok(Number(composeWaits) * 1_000 > Number(drain) + Number(grace) + 2_000)
  const needsMs = settingTable.drainMs.default.value() + settingTable.graceMs.default.value() + 2_000
  assert.ok(Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)?.[1]) * 1_000 > needsMs)
  assert.match(unit, /^KillMode=mixed$/m)
})

test('the image runs as a number, under an init, and sets no heap flag', () => {
  assert.match(only('USER').text, /^[1-9]\d*:[1-9]\d*$/)
  assert.equal(only('STOPSIGNAL').text, 'SIGTERM')
  assert.deepEqual(JSON.parse(only('ENTRYPOINT').text), ['/usr/bin/tini', '--'])
  assert.deepEqual(JSON.parse(only('CMD').text), ['node', 'dist/supervisor.js'])
  assert.match(only('HEALTHCHECK').text, /CMD \["node", "\/app\/healthcheck\.mjs"\]$/)
  const environment = only('ENV').text
  assert.ok(environment.includes('MILLRACE_HTTP_HOST=0.0.0.0'))
  assert.ok(!/NODE_OPTIONS|max.old.space/.test(environment + compose))
})

/** The one instruction of that name in the last stage. */
function only(name: string): { name: string; text: string } {
  const found = finalStage.filter((instruction) => instruction.name === name)
  assert.equal(found.length, 1, `${name} stands ${found.length} times in the last stage`)
  return found[0]!
}

/** The instructions of a Dockerfile, continued lines joined. */
function parseDockerfile(text: string): { name: string; text: string }[] {
  return withoutComments(text)
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [, name, rest] = /^([A-Z]+) (.*)$/.exec(line) ?? []
      assert.ok(name && rest, `not an instruction: ${line}`)
      return { name, text: rest.trim() }
    })
}

function withoutComments(text: string): string {
  return text.replaceAll(/^\s*#.*\n/gm, '')
}

function listFiles(dir: string): string[] {
  return readdirSync(path.join(root, dir), { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? listFiles(`${dir}/${entry.name}`) : [`${dir}/${entry.name}`],
  )
}
