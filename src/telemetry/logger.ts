import { type Logger, pino } from 'pino'
import { LogOutput } from './log-output.ts'

export type { Logger }

const stdoutFd = 1

/**
 * The supervisor's log: JSON lines on stdout.
 *
 * A process that ends by `process.exit` or a fatal line waits a second for whoever reads; one that kills itself calls
 * `flush` before. When nobody reads our stdout any more (EPIPE), `onClosed` is called once.
 */
export function createLogger(level: string, onClosed: () => void): Logger {
  const output = new LogOutput(stdoutFd, onClosed)
  process.on('exit', () => output.flushSync())
  const destination = {
    write: (line: string) => output.write(line),
    flush: () => output.flushSync(),
    flushSync: () => output.flushSync(),
  }
  return pino({ level, base: null }, destination)
}
