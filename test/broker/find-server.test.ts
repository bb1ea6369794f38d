import assert from 'node:assert/strict'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import { findServer, isOlder } from '#src/broker/find-server.js'
import { tempDir } from '../support/temp-dir.ts'

const nowhere = { environment: {}, systemDirs: [], cacheDir: '/nonexistent' }
const windows = process.platform === 'win32' && 'the pretended servers are shell scripts'

test('a server is found by MILLRACE_NATS_SERVER before PATH, system and cache', {
  skip: windows,
}, async (t) => {
  const dir = await tempDir(t)
  const [chosen, onPath, system, cache] = await Promise.all(
    ['chosen', 'path', 'system', 'cache'].map((name) => pretendServer(path.join(dir, name), '2.10.1')),
  )
  const everywhere = { systemDirs: [path.dirname(system!)], cacheDir: path.dirname(cache!) }
  const environment = { MILLRACE_NATS_SERVER: chosen!, PATH: `${dir}:${path.dirname(onPath!)}` }

  assert.deepEqual(await findServer({ ...everywhere, environment }), {
    path: chosen,
    version: '2.10.1',
    source: 'MILLRACE_NATS_SERVER',
  })
  const { PATH } = environment
  assert.deepEqual(await findServer({ ...everywhere, environment: { PATH } }), {
    path: onPath,
    version: '2.10.1',
    source: 'PATH',
  })
  const third = await findServer({ ...everywhere, environment: {} })
  assert.deepEqual([third?.source, third?.path], ['system', system])
  const fourth = await findServer({ ...everywhere, systemDirs: [dir], environment: {} })
  assert.deepEqual([fourth?.source, fourth?.path], ['cache', cache])
  assert.equal(await findServer(nowhere), undefined)
})

test('a server that is too old or no server is passed over, and that is said', {
  skip: windows,
}, async (t) => {
  const dir = await tempDir(t)
  const old = await pretendServer(path.join(dir, 'old'), '2.9.9')
  const other = await pretendServer(path.join(dir, 'other'), 'nonsense')
  const good = await pretendServer(path.join(dir, 'good'), '2.9.10')
  const lines: string[] = []

  const found = await findServer({
    ...nowhere,
    systemDirs: [old, other, good].map((file) => path.dirname(file)),
    narrate: (line) => lines.push(line),
  })
  assert.equal(found?.path, good)
  assert.deepEqual(lines, [
    `passing over ${old}: version 2.9.9 is too old, at least 2.9.10 is needed`,
    `passing over ${other}: --version says no version, so it is no nats-server`,
  ])
})

test('a chosen server that cannot be used is an error, never silently replaced', {
  skip: windows,
}, async (t) => {
  const dir = await tempDir(t)
  const old = await pretendServer(path.join(dir, 'old'), '2.1.0')
  const good = await pretendServer(path.join(dir, 'good'), '2.11.0')
  for (const [chosen, complaint] of [
    [old, /^MILLRACE_NATS_SERVER: .*too old/],
    [path.join(dir, 'missing'), /^MILLRACE_NATS_SERVER: .*cannot be run/],
  ] as const) {
    const environment = { MILLRACE_NATS_SERVER: chosen, PATH: path.dirname(good) }
    await assert.rejects(findServer({ environment }), { code: 'server_not_found', message: complaint })
  }
})

test('versions compare by number', () => {
  const order = ['2.9.9', '2.9.10', '2.10.0', '2.10.27', '2.12.0-RC.1', '3.0.0']
  for (const [index, version] of order.entries()) {
    assert.equal(isOlder(version, version), false)
    for (const later of order.slice(index + 1)) {
      assert.deepEqual([isOlder(version, later), isOlder(later, version)], [true, false])
    }
  }
})

async function pretendServer(dir: string, version: string): Promise<string> {
  await mkdir(dir, { recursive: true })
  const file = path.join(dir, 'nats-server')
  await writeFile(file, `#!/bin/sh\necho "nats-server: v${version}"\n`)
  await chmod(file, 0o755)
  return file
}
