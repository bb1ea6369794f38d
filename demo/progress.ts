import type { LogLine } from './supervisor-process.ts'

/** Shows where the demo is: one line that changes on a terminal, a line a second elsewhere. */
export type Progress = {
  /** Replaces the changing line. */
  update(text: string): void
  /** Adds a line that stays. */
  note(text: string): void
}

const quietMs = 1_000

/** Progress on stderr; the tables at the end are the only thing on stdout. */
export function createProgress(stream: NodeJS.WriteStream = process.stderr): Progress {
  let shown = ''
  let shownAt = 0
  return {
    update(text) {
      if (text === shown) return
      if (stream.isTTY) stream.write(`\r\x1b[K  ${text}`)
      else if (Date.now() - shownAt < quietMs) return
      else stream.write(`  ${text}\n`)
      shown = text
      shownAt = Date.now()
    },
    note(text) {
      stream.write(stream.isTTY ? `\r\x1b[K${text}\n` : `${text}\n`)
      shown = ''
    },
  }
}

/** What a person would like to hear of the supervisor's log while jobs run; undefined for the rest. */
export function describeLine(line: LogLine): string | undefined {
  const job = `${line['handler']}, attempt ${line['attempt']}`
  switch (line.msg) {
    case 'thread killed':
      return `  thread killed: ${job}, at its deadline`
    case 'job dead-lettered':
      return `  dead letter (${line['reason']}): ${job}`
    default:
      return undefined
  }
}
