import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import type { ReadStream, WriteStream } from 'node:tty'
import { TerminalScreen } from '#src/cli/terminal-screen.js'
import { until } from '../support/until.ts'

/** Streams that stand for a terminal. */
function terminal() {
  const modes: boolean[] = []
  const input = Object.assign(new PassThrough(), { setRawMode: (mode: boolean) => modes.push(mode) })
  const output = Object.assign(new PassThrough(), { columns: 80, rows: 24 })
  const screen = new TerminalScreen(input as unknown as ReadStream, output as unknown as WriteStream)
  const keys: string[] = []
  screen.onKey = (key) => keys.push(key)
  return { modes, input, output, screen, keys, written: () => String(output.read() ?? '') }
}

const given = '\u001b[?25h\u001b[?1049l'

test('a screen is taken, drawn on in one piece, and given back once', () => {
  const { modes, screen, written } = terminal()
  assert.equal(written(), '\u001b[?1049h\u001b[?25l')
  screen.draw(['one', 'two'])
  assert.equal(written(), '\u001b[Hone\u001b[K\r\ntwo\u001b[K\u001b[J')
  screen.close()
  screen.close()
  assert.equal(written(), given)
  assert.deepEqual(modes, [true, false])
})

test('keys, signals and other sizes are heard, and not after the end', async () => {
  const { input, output, screen, keys } = terminal()
  input.write('q\u001b[B\u0003')
  await until(() => keys.length === 3, 'the keys are heard')
  output.emit('resize')
  process.emit('SIGTERM')
  assert.deepEqual(keys, ['q', 'down', 'quit', 'resize', 'quit'])
  screen.close()
  output.emit('resize')
  assert.equal(keys.length, 5)
  assert.equal(process.listenerCount('SIGTERM'), 0)
})

test('the end of the process gives the screen back', () => {
  const { written } = terminal()
  const listeners = process.listeners('exit')
  ;(listeners.at(-1) as () => void)()
  assert.ok(written().endsWith(given))
})
