import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { RawFrame } from '#src/threads/probe.js'
import { describeFrames } from '#src/threads/stack-frames.js'
import { tempDir } from '../support/temp-dir.ts'

const probe: RawFrame[] = Array.from({ length: 3 }, () => ['probe', null, 1, 1])

function frames(...raw: RawFrame[]): string[] {
  return describeFrames([...probe, ...raw])
}

/** A folder with compiled files whose first character a map, beside them in `maps`, leads to a source. */
async function compiledFiles(t: TestContext) {
  const folder = await tempDir(t)
  mkdirSync(join(folder, 'maps'))
  return {
    folder,
    write(name: string, source: unknown, more: object = {}): string {
      const file = join(folder, `${name}.js`)
      writeFileSync(file, `handle()\n//# sourceMappingURL=maps/${name}.js.map`)
      const map = { version: 3, sources: [source], names: [], mappings: 'AAAA', ...more }
      writeFileSync(join(folder, 'maps', `${name}.js.map`), JSON.stringify(map))
      return file
    },
  }
}

test('a source is named from where its map is, and from its root', async (t) => {
  const { folder, write } = await compiledFiles(t)
  const [beside, rooted] = [write('beside', '../src/a.ts'), write('rooted', 'a.ts', { sourceRoot: '../src' })]
  const expected = `handle (${join(folder, 'src/a.ts')}:1:1)`
  assert.deepEqual(frames(['handle', beside, 1, 1], ['handle', rooted, 1, 1]), [expected, expected])
  assert.match(frames(['handle', write('packed', 'webpack://ns/./src/a.ts'), 1, 1])[0]!, /src\/a\.ts:1:1\)$/)
})

test('a map that leads nowhere leaves the compiled place, and costs no other frame', async (t) => {
  const { write } = await compiledFiles(t)
  for (const [at, source] of ['webpack://ns with space/a.ts', 'file://host/a.ts', null, 7].entries()) {
    const file = write(`odd-${at}`, source)
    assert.deepEqual(
      frames(['handle', file, 1, 1], ['handle', 'file://host/a.js', 1, 1], ['handle', file, 1, 1]),
      [`handle (${file}:1:1)`, '(eval)', `handle (${file}:1:1)`],
      String(source),
    )
  }
  const large = write('large', '../src/a.ts', { sourcesContent: ['x'.repeat(1024 * 1024)] })
  assert.deepEqual(frames(['handle', large, 1, 1]), [`handle (${large}:1:1)`])
})

test('below the handler is only how it was called, also through an SDK', async (t) => {
  const { write } = await compiledFiles(t)
  const handler = write('handler', 'handler.ts')
  const ours = (name: string): string => import.meta.resolve(`#src/${name}`)
  const stack = frames(
    ['handle', handler, 1, 1],
    ['run', ours('core/read-definition.js'), 69, 36],
    ['runHandler', ours('threads/run-handler.js'), 20, 3],
    ['run', 'node:async_hooks', 1, 1],
    ['with', write('context-manager', 'context-manager.ts'), 1, 1],
    ['run', ours('tracing/attempt-span.js'), 1, 1],
    ['#start', ours('threads/thread-lane.js'), 1, 1],
  )
  assert.equal(stack.length, 1)
})

test('as many frames are described as are kept, the innermost', async (t) => {
  const { write } = await compiledFiles(t)
  const files = Array.from({ length: 40 }, (_, at) => write(`f${at}`, null))
  const stack = frames(...files.map((file): RawFrame => ['handle', file, 1, 1]))
  assert.deepEqual(
    stack,
    files.slice(0, 10).map((file) => `handle (${file}:1:1)`),
  )
})
