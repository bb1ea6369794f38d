import { writeSync } from 'node:fs'

const stdoutFd = 1
/** Lines that one thread may print in a second; a flood would fill whatever reads our stdout. */
const linesPerSecond = 2_000

let windowStartedAt = 0
let linesInWindow = 0
let dropped = 0

/**
 * Writes one log line straight to the process's stdout.
 *
 * Synchronous, because a thread that is killed loses what it has buffered; from the thread's own file
 * descriptor, because Node's way for a thread's output leads through the supervisor's event loop.
 */
export function writeLine(line: string): void {
  const now = Date.now()
  if (now - windowStartedAt >= 1_000) {
    const missing = dropped
    windowStartedAt = now
    linesInWindow = 0
    dropped = 0
    if (missing > 0) {
      writeAll(
        `${JSON.stringify({ level: 40, time: now, msg: 'log lines dropped', dropped: missing, limit_per_second: linesPerSecond })}\n`,
      )
    }
  }
  linesInWindow += 1
  if (linesInWindow > linesPerSecond) dropped += 1
  else writeAll(line)
}

function writeAll(line: string): void {
  const bytes = Buffer.from(line)
  let written = 0
  while (written < bytes.length) {
    try {
      written += writeSync(stdoutFd, bytes, written)
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      if (code !== 'EAGAIN') return
      // The pipe is full: wait a moment for its reader. Atomics.wait can still be killed.
      Atomics.wait(pause, 0, 0, 2)
    }
  }
}

const pause = new Int32Array(new SharedArrayBuffer(4))

/**
 * Makes what handlers print with `console` or `process.stdout` a log line of the job that printed it,
 * so that stdout stays JSON.
 */
export function captureOutput(fieldsOfJob: FieldsOfJob): void {
  capture(process.stdout, 30, fieldsOfJob)
  capture(process.stderr, 40, fieldsOfJob)
}

/** The log fields of the job in whose name the current code runs. */
type FieldsOfJob = () => Record<string, unknown> | undefined

function capture(stream: NodeJS.WriteStream, level: number, fieldsOfJob: FieldsOfJob): void {
  stream.write = ((chunk: string | Uint8Array, encoding?: unknown, callback?: unknown): boolean => {
    const text = typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('utf8')
    for (const line of text.split('\n')) {
      if (line === '') continue
      writeLine(
        `${JSON.stringify({ level, time: Date.now(), ...fieldsOfJob(), msg: line.slice(0, 16_384) })}\n`,
      )
    }
    const done = typeof encoding === 'function' ? encoding : callback
    if (typeof done === 'function') queueMicrotask(() => done())
    return true
  }) as typeof stream.write
}
