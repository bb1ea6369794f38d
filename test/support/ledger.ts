import { closeSync, openSync, readSync, writeFileSync } from 'node:fs'

/** One line that a fixture handler wrote; see `test/fixtures/handlers/sound/_ledger.mjs`. */
export interface LedgerLine {
  kind: 'start' | 'end' | 'abort' | 'alive' | 'seen'
  id: string
  handler: string
  attempt: number
  pid: number
  thread: number
  /** Milliseconds of the machine's monotonic clock, the same clock in every process. */
  atMs: number
  [more: string]: unknown
}

/**
 * What the fixture handlers did, in the order in which they did it, across threads and processes.
 *
 * It is the only witness that the runtime has no part in: a job ran as often as it has `start`
 * lines here, whatever logs and metrics say.
 */
export class Ledger {
  readonly path: string
  #lines: LedgerLine[] = []
  #offset = 0
  #rest = ''

  constructor(path: string) {
    this.path = path
    writeFileSync(path, '')
  }

  /** Every line so far; reads only what was appended since the last call. */
  lines(): LedgerLine[] {
    const file = openSync(this.path, 'r')
    try {
      const chunk = Buffer.alloc(1 << 16)
      for (;;) {
        const bytes = readSync(file, chunk, 0, chunk.length, this.#offset)
        if (bytes === 0) break
        this.#offset += bytes
        const pieces = (this.#rest + chunk.toString('latin1', 0, bytes)).split('\n')
        this.#rest = pieces.pop() ?? ''
        for (const piece of pieces) {
          this.#lines.push(JSON.parse(Buffer.from(piece, 'latin1').toString('utf8')) as LedgerLine)
        }
      }
    } finally {
      closeSync(file)
    }
    return this.#lines
  }

  of(id: string, kind?: LedgerLine['kind']): LedgerLine[] {
    return this.lines().filter((line) => line.id === id && (kind === undefined || line.kind === kind))
  }

  starts(id: string): LedgerLine[] {
    return this.of(id, 'start')
  }

  ends(id: string): LedgerLine[] {
    return this.of(id, 'end')
  }

  /** The attempt number of each run of the job, in order. */
  attempts(id: string): number[] {
    return this.starts(id).map((line) => line.attempt)
  }

  /** How often each job has a line of this kind. */
  count(kind: LedgerLine['kind']): Map<string, number> {
    const counts = new Map<string, number>()
    for (const line of this.lines()) {
      if (line.kind === kind) counts.set(line.id, (counts.get(line.id) ?? 0) + 1)
    }
    return counts
  }
}
