import type { Settings } from '../config/settings.ts'
import { createHttpServer, type HttpServer } from '../http/server.ts'
import type { BrokerConnection } from '../nats/connection.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { plainError } from '../telemetry/observer.ts'
import { AdminLog } from './admin-log.ts'
import { Operator } from './operator.ts'

/** What the HTTP port tells of, some of which is there only later. */
export interface HttpSources {
  readonly settings: Settings
  readonly supervisorId: string
  readonly logger: Logger
  readonly metrics: Metrics
  /** Why no work is taken; empty when it is. */
  notReady(): string[]
  connection(): BrokerConnection | undefined
  /** All that have a file; undefined before the folder was read. */
  handlers(): readonly string[] | undefined
  /** Brings the gauges of the queue up to date. */
  refreshDepth(): Promise<unknown>
}

/** Serves health, metrics and an operator's actions; undefined where the settings say `off`. */
export async function serveHttp(
  sources: HttpSources,
  open: typeof createHttpServer = createHttpServer,
): Promise<HttpServer | undefined> {
  const { settings, supervisorId, logger, metrics } = sources
  const { httpHost, httpPort, httpToken, namespace } = settings
  if (httpPort === 'off') return undefined
  const adminLog = new AdminLog(logger)
  const { connection, handlers } = sources
  const server = await open({
    host: httpHost,
    port: httpPort,
    ready: () => sources.notReady(),
    onError: (error) => logger.warn({ err: plainError(error) }, 'HTTP request failed'),
    metrics: async () => {
      await sources.refreshDepth()
      return { contentType: metrics.registry.contentType, body: await metrics.registry.metrics() }
    },
    admin: {
      token: httpToken,
      actions: new Operator({ namespace, supervisorId, connection, handlers }),
      onRecord: (record) => adminLog.note(record),
    },
  })
  logger.info({ url: server.url }, 'listening')
  return server
}
