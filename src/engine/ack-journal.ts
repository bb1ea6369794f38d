/** An ack that was sent. */
export interface SentAck {
  readonly reply: string
  readonly handler: string
  readonly stream: string
}

const chunkBytes = 65_536
/** So many empty chunks are kept for what comes. */
const mostSpare = 32

/** Some acks in a row, each a line of text. */
interface Chunk {
  readonly bytes: Buffer
  used: number
  /** The number of its first ack. */
  readonly first: number
  /** The number of the ack after its last. */
  end: number
}

/**
 * The acks of the last moments, in the order in which they were sent. Each has a number, which counts from 0.
 *
 * They are lines of text in buffers that are used again and again. As strings, tens of thousands of them would
 * outlive the young generation each second and be left to slow collections of the old one.
 */
export class AckJournal {
  readonly #chunks: Chunk[] = []
  readonly #spare: Buffer[] = []
  #end = 0

  /** The number of the next ack. */
  get end(): number {
    return this.#end
  }

  /** None of the three may contain a space or a line end; no subject and no name does. */
  add(reply: string, handler: string, stream: string): void {
    const line = `${reply} ${handler} ${stream}\n`
    let chunk = this.#chunks.at(-1)
    const size = Buffer.byteLength(line)
    if (!chunk || chunk.used + size > chunk.bytes.length) {
      const bytes = size > chunkBytes ? Buffer.allocUnsafeSlow(size) : this.#newBytes()
      chunk = { bytes, used: 0, first: this.#end, end: this.#end }
      this.#chunks.push(chunk)
    }
    chunk.used += chunk.bytes.write(line, chunk.used)
    this.#end += 1
    chunk.end = this.#end
  }

  /** Those with numbers from `first` on, as far as they are kept. */
  from(first: number): SentAck[] {
    return this.#chunks
      .filter(({ end }) => end > first)
      .flatMap((chunk) => readLines(chunk).slice(Math.max(0, first - chunk.first)))
  }

  /** Need not keep those with smaller numbers any more. */
  dropBefore(first: number): void {
    const kept = this.#chunks.findIndex(({ end }) => end > first)
    const dropped = this.#chunks.splice(0, kept < 0 ? this.#chunks.length : kept)
    for (const { bytes } of dropped) {
      if (bytes.length === chunkBytes && this.#spare.length < mostSpare) this.#spare.push(bytes)
    }
  }

  #newBytes(): Buffer {
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(chunkBytes)
  }
}

function readLines({ bytes, used }: Chunk): SentAck[] {
  const lines = bytes.toString('utf8', 0, used).split('\n').slice(0, -1)
  return lines.map((line) => {
    const [reply, handler, stream] = line.split(' ') as [string, string, string]
    return { reply, handler, stream }
  })
}
