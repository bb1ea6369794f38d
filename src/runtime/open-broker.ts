import type { Settings } from '../config/settings.ts'
import { namesFor } from '../core/names.ts'
import type { BrokerEvents } from '../engine/broker-events.ts'
import type { BrokerConnection } from '../nats/connection.ts'
import { JetStreamBroker } from '../nats/jetstream-broker.ts'
import type { Logger } from '../telemetry/logger.ts'
import { plainError } from '../telemetry/observer.ts'

/**
 * Finds or makes what the supervisor needs at the broker.
 *
 * @param about - `events` is where the broker's news go; undefined until there is an engine.
 * @throws {MillraceError} what stops a start.
 */
export function openBroker(about: {
  readonly connection: BrokerConnection
  readonly settings: Settings
  readonly logger: Logger
  readonly handlers: readonly string[]
  readonly hasSchedules: boolean
  readonly keepsResults: boolean
  events(): BrokerEvents | undefined
}): Promise<JetStreamBroker> {
  const { connection, settings, logger, handlers, hasSchedules, keepsResults, events } = about
  return JetStreamBroker.open({
    connection,
    names: namesFor(settings.namespace),
    handlers,
    hasSchedules,
    settings,
    keepsResults,
    listener: {
      // Nothing is asked for before there is an engine, so nothing can be delivered.
      delivered: (delivery) => events()!.delivered(delivery),
      creditReturned: (handler, priority, count) => events()?.creditReturned(handler, priority, count),
      silent: (forMs) => events()?.silent(forMs),
      sourceBound: (handler, priority) => events()?.sourceBound(handler, priority),
      reconnected: () => events()?.reconnected(),
      disconnected: () => events()?.disconnected(),
      streamReplaced: (stream, createdAt) => events()?.streamReplaced(stream, createdAt),
      hasFinished: (...job) => events()?.hasFinished(...job) ?? false,
    },
    reports: {
      topology: ({ changed, missing, warnings }) => {
        for (const change of changed) logger.info(change)
        for (const warning of warnings) logger.warn(warning)
        if (missing.length > 0) logger.error({ missing }, 'missing at the broker')
      },
      pauseFailed: (handler, error) =>
        logger.warn({ handler, err: plainError(error) }, 'consumer not paused or resumed at the server'),
      topologyFailed: (error) => logger.warn({ err: plainError(error) }, 'broker request failed'),
    },
  })
}
