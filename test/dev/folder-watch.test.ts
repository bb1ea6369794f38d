import assert from 'node:assert/strict'
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { FolderWatch } from '#src/dev/folder-watch.js'
import { tempDir } from '../support/temp-dir.ts'
import { until } from '../support/until.ts'

test('files that are written, replaced, removed, and folders that come again, are changes', async (t) => {
  const folder = await tempDir(t)
  const below = path.join(folder, 'below')
  mkdirSync(below)
  let changes = 0
  const watch = new FolderWatch((firstAt) => {
    assert.ok(firstAt <= performance.now())
    changes += 1
  })
  t.after(() => watch.close())
  const both = new Set([folder, below])
  assert.equal(watch.watch(both), true)
  assert.equal(watch.watch(both), false)
  const causes = async (what: string, act: () => void): Promise<void> => {
    const before = changes
    act()
    await until(() => changes > before, `${what} is a change`)
  }
  const file = path.join(below, 'a.ts')
  await causes('a new file', () => writeFileSync(file, '1'))
  await causes('a save', () => writeFileSync(file, '2'))
  writeFileSync(path.join(below, '.a.ts.swp'), '3')
  await causes("an editor's replacement", () => renameSync(path.join(below, '.a.ts.swp'), file))
  await causes('a removal', () => rmSync(below, { recursive: true }))
  mkdirSync(below)
  assert.equal(watch.watch(both), true, 'another folder of the same name')
  await causes('a file in it', () => writeFileSync(file, '4'))
  await causes('a folder whose name is a number', () => mkdirSync(path.join(below, '2024')))
  const writing = setInterval(() => writeFileSync(file, String(performance.now())), 5)
  try {
    const before = changes
    await until(() => changes > before, 'what is written all the time is a change')
  } finally {
    // Before the folder goes: what cannot be written would end the process.
    clearInterval(writing)
  }
})
