import assert from 'node:assert/strict'
import { appendFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { LogFile } from '../../bench/contestants/log-file.ts'
import { tempDir } from '../support/temp-dir.ts'

test('a log is read in whole lines, each once, however long it is', async (t) => {
  const path = join(await tempDir(t), 'log')
  writeFileSync(path, '')
  const log = new LogFile(path)
  const news = () => [...log.news()].join('')
  assert.equal(news(), '')
  appendFileSync(path, 'one\ntw')
  assert.equal(news(), 'one\n')
  assert.equal(news(), '')
  appendFileSync(path, 'o\n')
  assert.equal(news(), 'two\n')
  const lines = Array.from({ length: 300_000 }, (_, n) => `line ${n}\n`).join('')
  appendFileSync(path, lines)
  assert.equal(news(), lines)
  assert.deepEqual(log.tail(2), ['line 299998', 'line 299999'])
})
