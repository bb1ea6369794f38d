import { type DestinationStream, type Logger, pino } from 'pino'

export type { Logger }

/**
 * The supervisor's log: JSON lines on stdout.
 *
 * Synchronous, so that the last lines before a crash are there. When nobody reads our stdout any more
 * (EPIPE), `onClosed` is called once.
 */
export function createLogger(level: string, onClosed: () => void): Logger {
  const destination = pino.destination({ dest: 1, sync: true }) as DestinationStream & NodeJS.EventEmitter
  destination.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') onClosed()
  })
  return pino({ level, base: null }, destination)
}
