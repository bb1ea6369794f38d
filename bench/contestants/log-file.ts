import { closeSync, openSync, readSync, statSync } from 'node:fs'

const pieceBytes = 1_048_576
const tailBytes = 16_384

/** A log that a process under test writes to a file, read without going over the same lines twice. */
export class LogFile {
  readonly path: string
  #at = 0

  /** @param path - exists already. */
  constructor(path: string) {
    this.path = path
  }

  /** The whole lines that were written since the last call, in pieces. */
  *news(): Generator<string> {
    const buffer = Buffer.allocUnsafe(pieceBytes)
    for (;;) {
      const length = this.#read(buffer, this.#at)
      const end = buffer.subarray(0, length).lastIndexOf('\n') + 1
      if (end === 0) return
      this.#at += end
      yield buffer.toString('utf8', 0, end)
    }
  }

  /** The last lines. */
  tail(count: number): string[] {
    const buffer = Buffer.allocUnsafe(tailBytes)
    const length = this.#read(buffer, Math.max(0, statSync(this.path).size - tailBytes))
    return buffer.toString('utf8', 0, length).trimEnd().split('\n').slice(-count)
  }

  #read(buffer: Buffer, position: number): number {
    const file = openSync(this.path, 'r')
    try {
      return readSync(file, buffer, 0, buffer.length, position)
    } finally {
      closeSync(file)
    }
  }
}
