import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { LogOutput } from '#src/telemetry/log-output.js'
import { until } from '../support/until.js'

/** A pipe with little room, whose reader takes what it is told to. */
class Pipe {
  readonly writes: string[] = []
  closedTimes = 0
  error: string | undefined
  room = Number.POSITIVE_INFINITY
  readonly output = new LogOutput(
    1,
    () => {
      this.closedTimes += 1
    },
    (_, bytes) => {
      if (this.error !== undefined) throw Object.assign(new Error('refused'), { code: this.error })
      if (this.room === 0) throw Object.assign(new Error('full'), { code: 'EAGAIN' })
      const taken = bytes.subarray(0, this.room)
      this.room -= taken.length
      this.writes.push(Buffer.from(taken).toString('latin1'))
      return taken.length
    },
  )

  get text(): string {
    return Buffer.from(this.writes.join(''), 'latin1').toString()
  }
}

test('the first line of a turn is out when write returns, the others together when the turn ends', async () => {
  const pipe = new Pipe()
  for (const line of ['1\n', '2\n', '3\n']) pipe.output.write(line)
  assert.deepEqual(pipe.writes, ['1\n'])
  await turn()
  assert.deepEqual(pipe.writes, ['1\n', '2\n3\n'])
})

test('whole lines of at most 4,096 bytes are written together, a longer one by itself', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 6_000 }), { maxLength: 60 }), async (lengths) => {
      const pipe = new Pipe()
      const lines = lengths.map((length, at) => `${at}${'ä'.repeat(length)}\n`)
      for (const line of lines) pipe.output.write(line)
      await turn()
      assert.equal(pipe.text, lines.join(''))
      for (const piece of pipe.writes) {
        assert.ok(piece.endsWith('\n'))
        assert.ok(piece.length <= 4_096 || piece.split('\n').length === 2)
      }
    }),
    { numRuns: 50 },
  )
})

test('lines wait in order while the reader is behind, and parts of lines are completed', async () => {
  const pipe = new Pipe()
  pipe.room = 3
  const lines = Array.from({ length: 500 }, (_, at) => `line ${at}\n`)
  for (const line of lines) {
    pipe.output.write(line)
    if (pipe.writes.length === 1) await turn()
  }
  assert.equal(pipe.text, 'lin')
  pipe.room = 1_000
  await until(() => pipe.room === 0, 'the room is used')
  pipe.room = Number.POSITIVE_INFINITY
  await until(() => pipe.text.length === lines.join('').length, 'all lines are read')
  assert.equal(pipe.text, lines.join(''))
})

test('what 16 MB wait before is dropped, and the next line after it says how many', async () => {
  const pipe = new Pipe()
  pipe.room = 0
  const line = `${'x'.repeat(99_999)}\n`
  for (let count = 0; count < 200; count += 1) pipe.output.write(line)
  pipe.room = Number.POSITIVE_INFINITY
  pipe.output.flushSync()
  pipe.output.write('after\n')
  await turn()
  const read = pipe.text.trimEnd().split('\n')
  const kept = Math.floor((16 * 1024 * 1024) / 100_000)
  assert.equal(read.filter((text) => text.startsWith('x')).length, kept)
  const told = JSON.parse(read.at(-2)!) as Record<string, unknown>
  assert.deepEqual(
    [told['msg'], told['dropped'], told['limit_bytes']],
    ['log lines dropped', 200 - kept, 16_777_216],
  )
  assert.equal(read.at(-1), 'after')
})

test('lines that cannot be written are counted, until some can', async () => {
  const pipe = new Pipe()
  pipe.error = 'ENOSPC'
  for (const line of ['1\n', '2\n', '3\n']) {
    pipe.output.write(line)
    await turn()
  }
  pipe.error = undefined
  pipe.output.write('4\n')
  const [told, line] = pipe.text.split('\n')
  assert.equal((JSON.parse(told!) as { dropped: number }).dropped, 3)
  assert.equal(line, '4')
  assert.equal(pipe.closedTimes, 0)
})

test('what was dropped last is told at the end, too, and a reader that takes nothing is not waited for long', () => {
  const pipe = new Pipe()
  pipe.room = 0
  const line = `${'x'.repeat(99_999)}\n`
  for (let count = 0; count < 200; count += 1) pipe.output.write(line)
  pipe.output.flushSync()
  assert.equal(pipe.text, '')
  pipe.room = Number.POSITIVE_INFINITY
  pipe.output.flushSync()
  const told = JSON.parse(pipe.text.trimEnd().split('\n').at(-1)!) as Record<string, unknown>
  assert.equal(told['dropped'], 200 - Math.floor((16 * 1024 * 1024) / 100_000))
})

test('a reader that is gone is told of once', async () => {
  const pipe = new Pipe()
  pipe.error = 'EPIPE'
  for (let count = 0; count < 3; count += 1) {
    pipe.output.write('line\n')
    await turn()
  }
  pipe.output.flushSync()
  assert.equal(pipe.closedTimes, 1)
  assert.deepEqual(pipe.writes, [])
})

test('a process goes on while nobody reads its log, and its end waits for the reader', async () => {
  const logger = fileURLToPath(new URL('../../../dist/telemetry/logger.js', import.meta.url))
  // Looking at stdout makes a pipe one that does not block, as a worker thread does.
  const program = `
    import { createLogger } from ${JSON.stringify(logger)}
    process.stdout
    const logger = createLogger('info', () => {})
    for (let at = 0; at < 20_000; at += 1) logger.info({ at }, 'x'.repeat(50))
    let turns = 0
    const timer = setInterval(() => {
      if (++turns < 20) return
      clearInterval(timer)
      process.send('turned')
    }, 1)
    process.on('message', () => {
      logger.info({ at: 20_000 }, 'the end')
      process.exit(0)
    })
  `
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  await once(child, 'message')
  child.send('end')
  let text = ''
  child.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  await once(child, 'close')
  const found = text
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { at: number }).at)
  assert.deepEqual(
    found,
    Array.from({ length: 20_001 }, (_, at) => at),
  )
})
