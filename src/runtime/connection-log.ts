import type { ConnectionEvent } from '../nats/connection.ts'
import type { Logger } from '../telemetry/logger.ts'
import { plainError } from '../telemetry/observer.ts'

/** The log lines about the connection to NATS. */
export function logConnectionEvent(logger: Logger, event: ConnectionEvent): void {
  switch (event.kind) {
    case 'waiting':
      logger.warn({ err: plainError(event.error), delay_ms: event.delayMs }, 'waiting for NATS')
      return
    case 'disconnected':
      logger.warn({ server: event.server }, 'disconnected from NATS')
      return
    case 'reconnected':
      logger.info({ server: event.server, offline_ms: Math.round(event.offlineMs) }, 'reconnected to NATS')
      return
    case 'warning':
      logger.warn(event.message)
      return
    case 'error':
      logger.warn({ err: plainError(event.error), refused: event.refused }, 'NATS error')
      return
    case 'unreadable':
      logger.error({ err: plainError(event.error) }, 'NATS server not understood, connecting again')
      return
    case 'lame_duck':
      logger.info({ server: event.server }, 'NATS server is shutting down')
      return
    case 'closed':
      if (event.error) logger.error({ err: plainError(event.error) }, 'NATS connection closed for good')
  }
}
