import { setTimeout as sleep } from 'node:timers/promises'
import type { Settings } from '../config/settings.ts'
import { MillraceError } from '../core/errors.ts'
import { namesFor } from '../core/names.ts'
import type { BrokerEvents } from '../engine/broker-events.ts'
import type { BrokerConnection } from '../nats/connection.ts'
import { nameMissing } from '../nats/ensure.ts'
import { JetStreamBroker } from '../nats/jetstream-broker.ts'
import type { Logger } from '../telemetry/logger.ts'
import { plainError } from '../telemetry/observer.ts'

/** How long to leave a broker alone that did not carry out a request. */
const againMs = 500

/**
 * Finds or makes what the supervisor needs at the broker. A request that is not carried out is made again for as long
 * as a start may take: a cluster that has just come up, or elects a leader, refuses for a while.
 *
 * @param about - `events` is where the broker's news go; undefined until there is an engine.
 * @throws {MillraceError} what stops a start.
 */
export async function openBroker(about: {
  readonly connection: BrokerConnection
  readonly settings: Settings
  readonly logger: Logger
  readonly handlers: readonly string[]
  readonly hasSchedules: boolean
  readonly keepsResults: boolean
  events(): BrokerEvents | undefined
  /** Ends the waiting. */
  readonly signal: AbortSignal
}): Promise<JetStreamBroker> {
  const startedAt = performance.now()
  for (;;) {
    try {
      return await tryToOpen(about)
    } catch (error) {
      const isPassing = error instanceof MillraceError && error.code === 'broker_request_failed'
      const isLate = performance.now() - startedAt + againMs > about.settings.startupMs
      if (!isPassing || isLate) throw error
      about.logger.warn({ err: plainError(error) }, 'broker request failed')
      await sleep(againMs, undefined, { signal: about.signal })
    }
  }
}

function tryToOpen(about: Parameters<typeof openBroker>[0]): Promise<JetStreamBroker> {
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
      countsDoubtful: () => events()?.countsDoubtful(),
      streamReplaced: (stream, createdAt) => events()?.streamReplaced(stream, createdAt),
      hasFinished: (...job) => events()?.hasFinished(...job) ?? false,
    },
    reports: {
      topology: ({ changed, missing, warnings }) => {
        for (const change of changed) logger.info(change)
        for (const warning of warnings) logger.warn(warning)
        if (missing.length > 0) logger.error({ missing: missing.map(nameMissing) }, 'missing at the broker')
      },
      pauseFailed: (handler, error) =>
        logger.warn({ handler, err: plainError(error) }, 'consumer not paused or resumed at the server'),
      topologyFailed: (error) => logger.warn({ err: plainError(error) }, 'broker request failed'),
    },
  })
}
