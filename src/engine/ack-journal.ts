/** An ack that was sent. */
export interface SentAck {
  readonly reply: string
  readonly handler: string
  readonly stream: string
}

const chunkBytes = 65_536
/** So many acks are written as one text; to write each by itself costs several times as much. */
const acksInText = 64
/** So many empty chunks are kept for what comes. */
const mostSpare = 32

/** Begins a line that says whose the acks of the lines after it are; no reply begins like this. */
const originMark = ' '

/** Some acks in a row, as lines of text: the reply of each, and before the first of a handler and a stream these two. */
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
 * All but the last few are lines of text in buffers that are used again and again. As strings, tens of thousands
 * of them would outlive the young generation each second and be left to slow collections of the old one.
 */
export class AckJournal {
  readonly #chunks: Chunk[] = []
  readonly #spare: Buffer[] = []
  /** Of the last acks, which are in no chunk yet. */
  #lines: string[] = []
  /** Handler and stream of the last of them. */
  #handler = ''
  #stream = ''
  /** Those with smaller numbers are in chunks. */
  #written = 0
  #end = 0

  /** The number of the next ack. */
  get end(): number {
    return this.#end
  }

  /** None of the three may contain white space; no subject and no name does. */
  add(reply: string, handler: string, stream: string): void {
    if (this.#lines.length === 0 || handler !== this.#handler || stream !== this.#stream) {
      this.#handler = handler
      this.#stream = stream
      this.#lines.push(`${originMark}${handler} ${stream}`)
    }
    this.#lines.push(reply)
    this.#end += 1
    if (this.#end - this.#written === acksInText) this.#write()
  }

  /** Those with numbers from `first` on, as far as they are kept. */
  from(first: number): SentAck[] {
    this.#write()
    return this.#chunks
      .filter(({ end }) => end > first)
      .flatMap((chunk) => readChunk(chunk).slice(Math.max(0, first - chunk.first)))
  }

  /** Need not keep those with smaller numbers any more. */
  dropBefore(first: number): void {
    const kept = this.#chunks.findIndex(({ end }) => end > first)
    const dropped = this.#chunks.splice(0, kept < 0 ? this.#chunks.length : kept)
    for (const { bytes } of dropped) {
      if (bytes.length === chunkBytes && this.#spare.length < mostSpare) this.#spare.push(bytes)
    }
  }

  #write(): void {
    if (this.#lines.length === 0) return
    const text = `${this.#lines.join('\n')}\n`
    this.#lines = []
    let chunk = this.#chunks.at(-1)
    const size = Buffer.byteLength(text)
    if (!chunk || chunk.used + size > chunk.bytes.length) {
      const bytes = size > chunkBytes ? Buffer.allocUnsafeSlow(size) : this.#newBytes()
      chunk = { bytes, used: 0, first: this.#written, end: this.#written }
      this.#chunks.push(chunk)
    }
    chunk.used += chunk.bytes.write(text, chunk.used)
    this.#written = this.#end
    chunk.end = this.#end
  }

  #newBytes(): Buffer {
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(chunkBytes)
  }
}

function readChunk({ bytes, used }: Chunk): SentAck[] {
  const acks: SentAck[] = []
  let [handler, stream] = ['', '']
  for (const line of bytes.toString('utf8', 0, used - 1).split('\n')) {
    if (line.startsWith(originMark)) [handler, stream] = line.slice(1).split(' ') as [string, string]
    else acks.push({ reply: line, handler, stream })
  }
  return acks
}
