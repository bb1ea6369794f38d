import type { Console } from './command.ts'

const everyMs = 2_000

/** Says how far something long has come, every two seconds and not before. */
export class ProgressLines {
  readonly #console: Console
  #nextAt = performance.now() + everyMs

  constructor(console: Console) {
    this.#console = console
  }

  say(line: () => string): void {
    const now = performance.now()
    if (now < this.#nextAt) return
    this.#nextAt = now + everyMs
    this.#console.narrate(line())
  }
}
