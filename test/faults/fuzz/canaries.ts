/**
 * Looks for a word out of the payloads in everything that a runtime writes: as it is, and as hexadecimal digits
 * and base64 would have it, wherever it begins.
 */
export class CanaryWatch {
  readonly #needles: readonly Buffer[]
  readonly #rest = new Map<string, Buffer>()
  readonly #longest: number

  constructor(canary: string) {
    const encoded = [0, 1, 2].map((before) => {
      const text = Buffer.from(`${' '.repeat(before)}${canary}`).toString('base64')
      // The first and the last characters depend on what is around the word.
      return text.slice(before === 0 ? 0 : before + 1, -4)
    })
    const hex = Buffer.from(canary).toString('hex')
    this.#needles = [canary, hex, hex.toUpperCase(), ...encoded].map((needle) => Buffer.from(needle))
    this.#longest = Math.max(...this.#needles.map((needle) => needle.length))
  }

  /** Text around the word, or undefined when it is not there. */
  find(output: string | Uint8Array): string | undefined {
    const bytes =
      typeof output === 'string'
        ? Buffer.from(output)
        : Buffer.from(output.buffer, output.byteOffset, output.byteLength)
    for (const needle of this.#needles) {
      const at = bytes.indexOf(needle)
      if (at >= 0) return JSON.stringify(bytes.toString('utf8', Math.max(0, at - 200), at + 80))
    }
    return undefined
  }

  /** The same in output that comes in pieces. */
  findInPiece(source: string, piece: string): string | undefined {
    const bytes = Buffer.concat([this.#rest.get(source) ?? Buffer.alloc(0), Buffer.from(piece)])
    this.#rest.set(source, bytes.subarray(Math.max(0, bytes.length - this.#longest)))
    return this.find(bytes)
  }
}
