import type { Settings } from '../config/settings.ts'
import { MillraceError } from '../core/errors.ts'
import { type BrokerConnection, type ConnectionEvent, connectBroker } from '../nats/connection.ts'

/** How a client connects. */
export interface ConnectWithinOptions {
  readonly name: string
  readonly connectMs: number
  readonly inboxPrefix?: string | undefined
  readonly onEvent?: ((event: ConnectionEvent) => void) | undefined
}

/**
 * Connects within `connectMs`, also when a server takes the connection and says nothing. What a server sends after
 * its first line that cannot be read is a warning of the process (`process.on('warning')`): nobody else would be told.
 *
 * @throws {MillraceError} `broker_unreachable`, `not_permitted` or `jetstream_disabled`; `invalid_settings` for
 *   malformed credentials.
 */
export async function connectWithin(
  settings: Settings,
  { name, connectMs, inboxPrefix, onEvent }: ConnectWithinOptions,
): Promise<BrokerConnection> {
  const search = new AbortController()
  // One attempt at a server that does not answer at all takes seconds; the search ends in the middle of it.
  let lastFailure: MillraceError | undefined
  const timer = setTimeout(() => {
    const where = settings.nats.servers.join(', ')
    // What an attempt before it failed of says more than that this one was cut short.
    search.abort(
      lastFailure ??
        new MillraceError(
          'broker_unreachable',
          `no NATS server answered at ${where} within ${connectMs} ms; start one there, or set NATS_URL`,
        ),
    )
  }, connectMs + 100)
  try {
    return await connectBroker(
      { ...settings, startupMs: connectMs },
      {
        supervisorId: name,
        inboxPrefix,
        onEvent: (event) => {
          if (event.kind === 'waiting') lastFailure = event.error
          else if (event.kind === 'unreadable') warn(event.error)
          onEvent?.(event)
        },
        signal: search.signal,
      },
    )
  } finally {
    clearTimeout(timer)
  }
}

function warn(error: Error): void {
  process.emitWarning(`${error.message}, connecting again`, {
    type: 'MillraceWarning',
    code: 'nats_protocol',
  })
}
