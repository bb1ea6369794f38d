import type { Console } from './command.ts'

/** Prints one array piece by piece, an element a line, so that it need not fit into memory. */
export class JsonArray {
  readonly #console: Console
  #begun = false

  constructor(console: Console) {
    this.#console = console
  }

  async add(elements: readonly string[]): Promise<void> {
    if (elements.length === 0) return
    const [first, ...rest] = elements
    const lines = [`${this.#begun ? ',' : '['}${first}`, ...rest.map((element) => `,${element}`)]
    this.#begun = true
    this.#console.print(lines.join('\n'))
    await this.#console.taken()
  }

  end(): void {
    this.#console.print(this.#begun ? ']' : '[]')
  }
}
