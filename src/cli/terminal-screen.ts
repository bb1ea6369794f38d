import { emitKeypressEvents, type Key } from 'node:readline'
import type { ReadStream, WriteStream } from 'node:tty'
import type { Screen } from './command.ts'

/** The other screen of a terminal, without its cursor; and back. */
const enter = '\u001b[?1049h\u001b[?25l'
const leave = '\u001b[?25h\u001b[?1049l'
const home = '\u001b[H'
const clearToEndOfLine = '\u001b[K'
const clearBelow = '\u001b[J'

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** A terminal as a {@link Screen}. It is given back by `close`, and at the end of the process, whatever ends it. */
export class TerminalScreen implements Screen {
  onKey: (key: string) => void = () => {}
  readonly #input: ReadStream
  readonly #output: WriteStream
  #isOpen = true
  readonly #resized = (): void => this.onKey('resize')
  readonly #quit = (): void => this.onKey('quit')
  readonly #pressed = (_: string | undefined, { name, ctrl, sequence }: Key): void => {
    // In raw mode Ctrl-C is a key.
    this.onKey(ctrl && name === 'c' ? 'quit' : (name ?? sequence ?? ''))
  }
  readonly #ended = (): void => this.close()

  constructor(input: ReadStream, output: WriteStream) {
    this.#input = input
    this.#output = output
    process.once('exit', this.#ended)
    for (const signal of signals) process.on(signal, this.#quit)
    emitKeypressEvents(input)
    input.setRawMode(true)
    input.on('keypress', this.#pressed)
    input.resume()
    output.on('resize', this.#resized)
    output.write(enter)
  }

  get columns(): number {
    return this.#output.columns
  }

  get rows(): number {
    return this.#output.rows
  }

  draw(lines: readonly string[]): void {
    // In one piece and over what is there, so that nothing flickers.
    this.#output.write(home + lines.map((line) => line + clearToEndOfLine).join('\r\n') + clearBelow)
  }

  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    process.off('exit', this.#ended)
    for (const signal of signals) process.off(signal, this.#quit)
    this.#input.off('keypress', this.#pressed)
    this.#input.setRawMode(false)
    this.#input.pause()
    this.#output.off('resize', this.#resized)
    this.#output.write(leave)
  }
}
