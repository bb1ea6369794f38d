import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { fetchWithApt } from '#src/broker/apt-source.js'
import { obtainServer, type ServerSource } from '#src/broker/obtain-server.js'
import { fetchRelease, releaseVersion } from '#src/broker/release-source.js'
import { tempDir } from '../support/temp-dir.ts'

const run = promisify(execFile)
const noApt = await run('apt-get', ['--version']).then(
  () => false as const,
  () => 'needs apt-get (Debian or Ubuntu)',
)
const notHere = process.platform !== 'linux' && 'the pretended archive is made for Linux'

test('apt brings a server into an empty cache without installing anything', { skip: noApt }, async (t) => {
  const cacheDir = await tempDir(t)
  const lines: string[] = []
  let server: Awaited<ReturnType<typeof obtainServer>>
  try {
    server = await obtainServer({
      cacheDir,
      sources: [{ name: 'apt', fetch: fetchWithApt }],
      narrate: (line) => lines.push(line),
    })
  } catch (error) {
    t.skip(`apt-get has no package mirror here: ${(error as Error).message.split('\n')[1]}`)
    return
  }
  assert.equal(server.path, path.join(cacheDir, 'nats-server'))
  assert.match((await run(server.path, ['--version'])).stdout, new RegExp(`v${server.version}`))
  assert.match(lines[0]!, /apt-get download/)
  assert.deepEqual(await readdir(cacheDir), ['nats-server'])
})

test('two that obtain at once share one fetch', { skip: notHere }, async (t) => {
  const cacheDir = await tempDir(t)
  let fetches = 0
  const source = pretendSource(() => {
    fetches += 1
  })
  const [first, second] = await Promise.all([
    obtainServer({ cacheDir, sources: [source] }),
    obtainServer({ cacheDir, sources: [source] }),
  ])
  assert.deepEqual(first, second)
  assert.equal(fetches, 1)
})

test('the lock of a process that died is broken', { skip: notHere }, async (t) => {
  const cacheDir = await tempDir(t)
  const child = run(process.execPath, ['--version'])
  await child
  await writeFile(path.join(cacheDir, 'obtaining.lock'), String(child.child.pid))
  await obtainServer({ cacheDir, sources: [pretendSource()] })
  assert.deepEqual(await readdir(cacheDir), ['nats-server'])
})

test('a source that fails leaves nothing behind and the next one is tried', { skip: notHere }, async (t) => {
  const cacheDir = await tempDir(t)
  const partial: ServerSource = {
    name: 'half',
    async fetch(workDir) {
      await writeFile(path.join(workDir, 'nats-server'), 'the first half')
      throw new Error('the connection broke')
    },
  }
  await obtainServer({ cacheDir, sources: [partial, pretendSource()] })
  assert.deepEqual(await readdir(cacheDir), ['nats-server'])
})

test('when nothing works the error says what was tried and what to type', async (t) => {
  const cacheDir = await tempDir(t)
  const broken: ServerSource = {
    name: 'apt',
    async fetch() {
      throw new Error('no mirror answers')
    },
  }
  await assert.rejects(obtainServer({ cacheDir, sources: [broken] }), (error: Error & { code?: string }) => {
    assert.equal(error.code, 'server_not_found')
    assert.match(error.message, /apt: no mirror answers/)
    assert.match(error.message, /sudo apt-get install nats-server/)
    assert.match(error.message, /brew install nats-server/)
    assert.ok(error.message.split('\n').length <= 24, 'fits one screen')
    return true
  })
  assert.deepEqual(await readdir(cacheDir), [])
})

test('the official archive is used only when its checksum is right', { skip: notHere }, async (t) => {
  const [goodUrl, badUrl, lines] = [await serveRelease(t, true), await serveRelease(t, false), [] as string[]]
  const narrate = (line: string) => lines.push(line)

  const good = { name: 'release', fetch: (dir: string) => fetchRelease(dir, narrate, goodUrl) }
  const server = await obtainServer({ cacheDir: await tempDir(t), sources: [good] })
  assert.equal(server.version, releaseVersion)
  assert.match(lines[0]!, /^downloading http.*tar\.gz$/)

  const bad = { name: 'release', fetch: (dir: string) => fetchRelease(dir, narrate, badUrl) }
  const cacheDir = await tempDir(t)
  await assert.rejects(obtainServer({ cacheDir, sources: [bad] }), /has SHA-256 .* not used/)
  assert.deepEqual(await readdir(cacheDir), [])
})

const script = `#!/bin/sh\necho "nats-server: v${releaseVersion}"\n`

function pretendSource(onFetch = () => {}): ServerSource {
  return {
    name: 'pretended',
    async fetch(workDir) {
      onFetch()
      const file = path.join(workDir, 'some-name')
      await writeFile(file, script)
      await chmod(file, 0o755)
      return file
    },
  }
}

/** A web server with a release for this machine; the checksum is right or that of something else. */
async function serveRelease(t: TestContext, isRight: boolean): Promise<string> {
  const dir = await tempDir(t)
  const processor = { x64: 'amd64', arm64: 'arm64' }[process.arch as 'x64' | 'arm64']
  const folder = `nats-server-v${releaseVersion}-linux-${processor}`
  await mkdir(path.join(dir, folder))
  await writeFile(path.join(dir, folder, 'nats-server'), script, { mode: 0o755 })
  await run('tar', ['-czf', `${folder}.tar.gz`, folder], { cwd: dir })
  const archive = await readFile(path.join(dir, `${folder}.tar.gz`))
  const sum = createHash('sha256')
    .update(isRight ? archive : 'something else')
    .digest('hex')
  const server = createServer((request, response) => {
    if (request.url === '/SHA256SUMS') response.end(`0000  other.zip\n${sum}  ${folder}.tar.gz\n`)
    else if (request.url === `/${folder}.tar.gz`) response.end(archive)
    else response.writeHead(404).end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
