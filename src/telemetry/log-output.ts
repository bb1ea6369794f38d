import { writeSync } from 'node:fs'

/**
 * So much is written at once, in whole lines. A pipe takes that as a whole or not at all (PIPE_BUF), so that no line
 * of a thread, which writes to the same pipe, gets into the middle of one of ours.
 */
const pieceBytes = 4_096
/** With so many pieces nothing waits for the end of the turn. */
const mostPieces = 16
/** How soon a pipe that was full is tried again. */
const againMs = 5
/** With so much waiting whoever writes waits for the reader: so long, and so often in a turn. */
const slowBytes = 1024 * 1024
const slowMs = 2
const mostWaitsInTurn = 10
/** A reader that took nothing for so long is not waited for. */
const stuckMs = 100
/** So much waits for a slow reader. More is dropped, until half of it is gone. */
const mostWaitingBytes = 16 * 1024 * 1024
/** The last lines of a process wait so long for their reader, all together. */
const lastMs = 1_000

/** Lines that are written together. */
interface Piece {
  text: string
  bytes: number
  /** How many would be missing without it: its own, and those that it tells of. */
  lines: number
  /** What is left of it when a part was written. */
  rest?: Uint8Array
}

/** Returns how many bytes were taken. */
export type Write = (fd: number, bytes: Uint8Array) => number

/**
 * Where the log goes: lines to a file descriptor, in order, as soon as they are there.
 *
 * 1. The first line of a turn of the event loop is written at once, so that it is out before what it announces can
 *    end the process; those after it together when the turn ends.
 * 2. While the reader is behind, lines wait in memory and the process goes on: leases and deadlines must not depend
 *    on who reads the log.
 * 3. With 1 MB waiting the process becomes slower, by at most 20 ms a turn, as long as the reader takes something.
 * 4. With 16 MB waiting lines are dropped, and the next one after them says how many.
 */
export class LogOutput {
  readonly #fd: number
  readonly #onClosed: () => void
  readonly #write: Write
  readonly #pieces: Piece[] = []
  #waitingBytes = 0
  #isFull = false
  #dropped = 0
  #turn: NodeJS.Immediate | undefined
  #again: NodeJS.Timeout | undefined
  #waitsInTurn = 0
  /** When the reader last took something. */
  #takenAt = Number.NEGATIVE_INFINITY
  /** Until when the end of the process waits for the reader. */
  #lastUntil: number | undefined
  #closed = false

  /** @param onClosed - called once, when nobody reads any more (EPIPE). */
  constructor(fd: number, onClosed: () => void, write: Write = writeSync) {
    this.#fd = fd
    this.#onClosed = onClosed
    this.#write = write
  }

  /** @param line - with its line end. */
  write(line: string): void {
    if (this.#closed) return
    this.#add(line)
    if (!this.#turn) {
      this.#turn = setImmediate(() => this.#endTurn())
      if (!this.#again) this.#drain()
    } else if (this.#again) this.#waitForReader()
    else if (this.#pieces.length >= mostPieces) this.#drain()
  }

  /** Returns when all is written, or a second has passed since it was first called: for the end of a process. */
  flushSync(): void {
    this.#lastUntil ??= performance.now() + lastMs
    for (;;) {
      this.#drain()
      if (this.#pieces.length === 0 && this.#dropped > 0 && !this.#closed) this.#tellDropped()
      if (this.#pieces.length === 0 || performance.now() >= this.#lastUntil) return
      Atomics.wait(pause, 0, 0, againMs)
    }
  }

  #endTurn(): void {
    this.#turn = undefined
    this.#waitsInTurn = 0
    if (!this.#again) this.#drain()
  }

  #waitForReader(): void {
    if (this.#waitingBytes < slowBytes || this.#waitsInTurn === mostWaitsInTurn) return
    if (performance.now() - this.#takenAt > stuckMs) return
    this.#waitsInTurn += 1
    Atomics.wait(pause, 0, 0, slowMs)
    this.#drain()
  }

  #add(line: string): void {
    const own = Buffer.byteLength(line)
    const limit = this.#isFull ? mostWaitingBytes / 2 : mostWaitingBytes
    this.#isFull = this.#waitingBytes + own > limit
    if (this.#isFull) {
      this.#dropped += 1
      return
    }
    const text = this.#dropped > 0 ? droppedLine(this.#dropped) + line : line
    const bytes = own + (text.length - line.length)
    const lines = 1 + this.#dropped
    this.#dropped = 0
    this.#waitingBytes += bytes
    const last = this.#pieces.at(-1)
    if (last && !last.rest && last.bytes + bytes <= pieceBytes) {
      last.text += text
      last.bytes += bytes
      last.lines += lines
    } else this.#pieces.push({ text, bytes, lines })
  }

  /** Writes what waits, until the reader is behind; then goes on by itself. */
  #drain(): void {
    clearTimeout(this.#again)
    this.#again = undefined
    for (let piece = this.#pieces[0]; piece; piece = this.#pieces[0]) {
      try {
        this.#put(piece)
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        if (code === 'EAGAIN') {
          this.#again = setTimeout(() => this.#drain(), againMs).unref()
          return
        }
        // No space, for example: the lines are lost, and the process is not.
        this.#dropped += piece.lines
        if (code === 'EPIPE') {
          this.#close()
          return
        }
      }
      this.#pieces.shift()
      this.#waitingBytes -= piece.bytes
    }
  }

  #put(piece: Piece): void {
    piece.rest ??= Buffer.from(piece.text)
    while (piece.rest.length > 0) {
      piece.rest = piece.rest.subarray(this.#write(this.#fd, piece.rest))
      this.#takenAt = performance.now()
    }
  }

  /** At the end of a process, when no line comes that would say so. */
  #tellDropped(): void {
    const text = droppedLine(this.#dropped)
    this.#pieces.push({ text, bytes: text.length, lines: this.#dropped })
    this.#waitingBytes += text.length
    this.#dropped = 0
    this.#drain()
  }

  #close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#pieces.length = 0
    this.#waitingBytes = 0
    this.#onClosed()
  }
}

function droppedLine(dropped: number): string {
  const line = {
    level: 40,
    time: Date.now(),
    msg: 'log lines dropped',
    dropped,
    limit_bytes: mostWaitingBytes,
  }
  return `${JSON.stringify(line)}\n`
}

const pause = new Int32Array(new SharedArrayBuffer(4))
