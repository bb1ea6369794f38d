import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Settings } from '../config/settings.ts'
import type { PoolName } from '../core/handler-definition.ts'
import type { Engine } from '../engine/engine.ts'
import type { HttpServer, HttpServerOptions } from '../http/server.ts'
import { type BrokerConnection, type ConnectionEvent, connectBroker } from '../nats/connection.ts'
import type { JetStreamBroker } from '../nats/jetstream-broker.ts'
import type { Answers } from '../nats/questions.ts'
import { largestResultBytes } from '../nats/results-bucket.ts'
import { readSchedulesFile } from '../schedules/schedules-file.ts'
import { JobLog } from '../telemetry/job-log.ts'
import { JobTracing } from '../telemetry/job-tracing.ts'
import type { Logger } from '../telemetry/logger.ts'
import { Metrics } from '../telemetry/metrics.ts'
import { TelemetryObserver } from '../telemetry/observer.ts'
import { TickTelemetry } from '../telemetry/tick-telemetry.ts'
import { catalogHandlers } from '../threads/handler-catalog.ts'
import { findHandlers } from '../threads/handlers-folder.ts'
import type { LanePool } from '../threads/lane-pool.ts'
import type { HandlerFault } from '../threads/lane-protocol.ts'
import { answerWhere } from './answer-where.ts'
import { logConnectionEvent } from './connection-log.ts'
import { createEngine } from './create-engine.ts'
import { DepthPoll } from './depth-poll.ts'
import { profileOf } from './handler-profiles.ts'
import { startPools } from './lane-pools.ts'
import { connectMetrics } from './metric-sources.ts'
import { openBroker } from './open-broker.ts'
import { createPoolListener } from './pool-listener.ts'
import { HandlerFaults, type ReadinessParts, reasonsNotReady } from './readiness.ts'
import { ScheduleLoops } from './schedule-loops.ts'
import { gatherSchedules } from './schedules.ts'
import { serveHttp } from './serve-http.ts'
import { collectStartGarbageSoon } from './start-garbage.ts'

/** How long one handler file may take to import. */
const importMs = 10_000
/** After a drain, how long a tick that is being published may still take. */
const tickStopMs = 200

/** What a supervisor can be told that is no setting: it is one of several in its process that replace each other. */
export interface SupervisorHooks {
  /** Serves health and metrics, for all of them on one port. */
  readonly openHttp?: (options: HttpServerOptions) => Promise<HttpServer>
  /** Looks at the handlers, without importing again what has not changed. */
  readonly catalog?: typeof catalogHandlers
  /** Hears of the handlers that cannot be used, before anything is done at the broker; may throw to end the start. */
  readonly catalogued?: (faults: readonly HandlerFault[]) => void
}

/** How a supervisor stopped. */
export interface StopReport {
  /** A thread is blocked in native code, so the process cannot exit by itself. */
  readonly threadsStuck: boolean
}

/**
 * Builds every part of a supervisor, starts them in order and stops them in reverse. It holds no rule
 * about jobs.
 */
export class Supervisor {
  readonly id = randomBytes(4).toString('hex')
  /** Resolves when the supervisor wants to be replaced: too many threads cannot be ended. */
  readonly restartWanted: Promise<void>
  readonly #settings: Settings
  readonly #logger: Logger
  readonly #metrics = new Metrics(packageVersion())
  #pools: ReadonlyMap<PoolName, LanePool> = new Map()
  readonly #faults: HandlerFaults
  readonly #hooks: SupervisorHooks
  #http: HttpServer | undefined
  #connection: BrokerConnection | undefined
  /** All that have a file, also those that cannot be used. */
  #handlerNames: readonly string[] | undefined
  #broker: JetStreamBroker | undefined
  #engine: Engine | undefined
  #answers: Answers | undefined
  readonly #schedules: ScheduleLoops
  #jobLog: JobLog | undefined
  #depth: DepthPoll | undefined
  #phase: ReadinessParts['phase'] = 'starting'
  #wantRestart: () => void = () => {}

  constructor(settings: Settings, logger: Logger, hooks: SupervisorHooks = {}) {
    this.#settings = settings
    this.#hooks = hooks
    this.#logger = logger.child({ supervisor: this.id })
    this.#faults = new HandlerFaults(this.#logger)
    this.#schedules = new ScheduleLoops(this.id, new TickTelemetry(this.#logger, this.#metrics))
    this.restartWanted = new Promise((resolve) => {
      this.#wantRestart = resolve
    })
  }

  /**
   * Serves health at once, then looks at the handlers, finds the broker, and begins to pull.
   *
   * @throws {MillraceError} what stops a start; see the exit codes. `signal.reason` when it is aborted.
   */
  async start(signal: AbortSignal): Promise<void> {
    await this.#startHttp()
    const files = findHandlers(this.#settings.handlersFolder)
    this.#handlerNames = files.map((file) => file.name)
    const { schedulesFile } = this.#settings
    const declared =
      schedulesFile === null
        ? []
        : readSchedulesFile(
            schedulesFile,
            files.map((file) => file.name),
          )
    const cataloging = (this.#hooks.catalog ?? catalogHandlers)(files, importMs)
    const [catalog, connection] = await orAborted(
      signal,
      Promise.all([
        cataloging,
        connectBroker(this.#settings, {
          supervisorId: this.id,
          onEvent: (event) => this.#connectionEvent(event),
          signal,
        }).then((connection) => {
          this.#connection = connection
          return connection
        }),
      ]),
    )
    const { schedules, usable, faults } = gatherSchedules(
      catalog.handlers,
      declared,
      this.#settings.schedulesFile,
    )
    const unusable = [...catalog.faults, ...faults]
    this.#hooks.catalogued?.(unusable)
    for (const fault of unusable) this.#faults.add(fault)
    const profiles = usable.map(({ file, options }) => profileOf(file.name, options, this.#settings))
    const broker = await openBroker({
      connection,
      settings: this.#settings,
      logger: this.#logger,
      handlers: files.map((file) => file.name),
      hasSchedules: schedules.length > 0,
      keepsResults: profiles.some((profile) => profile.result),
      events: () => this.#engine?.fromBroker,
      signal,
    })
    this.#broker = broker
    this.#jobLog = new JobLog(this.#logger, this.#settings.jobLogs, this.id)
    const engine = createEngine({
      settings: this.#settings,
      supervisorId: this.id,
      broker,
      profiles,
      observer: new TelemetryObserver(this.#jobLog, this.#logger, this.#metrics, JobTracing.create(this.id)),
      tickObserver: this.#schedules.observer,
      restartWanted: (stuckThreads) => {
        this.#logger.error({ stuck_threads: stuckThreads }, 'too many threads are stuck, restart wanted')
        this.#wantRestart()
      },
    })
    this.#engine = engine
    this.#depth = new DepthPoll(broker, this.#metrics)
    const poolListener = createPoolListener(engine, {
      supervisorId: this.id,
      logger: this.#logger,
      metrics: this.#metrics,
      faulty: (fault) => this.#faults.add(fault),
      publishEvent: (handler, event, json) => broker.publishEvent(handler, event, json),
    })
    this.#pools = startPools(
      {
        settings: this.#settings,
        supervisorId: this.id,
        profiles,
        handlers: usable.map(({ file }) => file),
        resultMaxBytes: largestResultBytes(connection.nc, this.#settings.resultMaxBytes),
      },
      poolListener,
    )
    connectMetrics(this.#metrics, { engine, connection, pools: this.#pools })
    const ready = [...this.#pools.values()].map((pool) => pool.firstReady)
    await orAborted(signal, Promise.all([engine.obeyControls(), ...ready]))
    engine.start()
    broker.findSources()
    this.#answers = answerWhere(connection, this.#settings.namespace, engine.parts.locator)
    this.#schedules.start(schedules, broker.ticks)
    this.#phase = 'running'
    this.#logger.info(
      {
        handlers: profiles.map((profile) => profile.name),
        threads: this.#settings.threads,
        nats: connection.nc.getServer(),
      },
      'running',
    )
    collectStartGarbageSoon(() => this.#phase === 'running' && !engine.hasHadJobs)
  }

  /** Drains, closes and reports; `hurry` skips the waiting. */
  async stop(hurry: Promise<void>): Promise<StopReport> {
    this.#phase = 'draining'
    this.#logger.info(
      { in_flight: this.#engine?.inFlight.size ?? 0, drain_ms: this.#settings.drainMs },
      'draining',
    )
    const schedulesStopped = this.#schedules.stop()
    const report = await this.#engine?.drain({
      drainMs: this.#settings.drainMs,
      hurry,
      pullsEnded: this.#broker?.pullsEnded() ?? Promise.resolve(),
    })
    await Promise.race([schedulesStopped, sleep(tickStopMs, undefined, { ref: false })])
    this.#answers?.close()
    this.#broker?.close()
    await this.endThreads()
    await this.#connection?.close()
    this.#jobLog?.flush()
    await this.#http?.close()
    this.#logger.info(
      { interrupted: report?.interrupted ?? 0, stuck_threads: report?.stuckThreads ?? 0 },
      'drained',
    )
    return {
      threadsStuck: this.hasThreads,
    }
  }

  /** How long an attempt may go on after its abort signal, for the handler that may the longest. */
  get longestGraceMs(): number {
    const graces = this.#engine?.handlers.map((handler) => handler.profile.graceMs) ?? []
    return Math.max(this.#settings.graceMs, ...graces)
  }

  /** Ends every thread that can be ended, with whatever it does. */
  async endThreads(): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.close()))
  }

  /** Some thread is there, stuck or not. */
  get hasThreads(): boolean {
    return [...this.#pools.values()].some((pool) => pool.lanes.length > 0 || pool.stuck.size > 0)
  }

  /** A thread does not end although it was told to. */
  get threadsStuck(): boolean {
    return [...this.#pools.values()].some((pool) => pool.stuck.size > 0)
  }

  async #startHttp(): Promise<void> {
    this.#http = await serveHttp(
      {
        settings: this.#settings,
        supervisorId: this.id,
        logger: this.#logger,
        metrics: this.#metrics,
        notReady: () =>
          reasonsNotReady({
            phase: this.#phase,
            connection: this.#connection,
            broker: this.#broker,
            engine: this.#engine,
            faults: this.#faults,
          }),
        connection: () => this.#connection,
        handlers: () => this.#handlerNames,
        refreshDepth: async () => this.#depth?.refresh(),
      },
      this.#hooks.openHttp,
    )
  }

  #connectionEvent(event: ConnectionEvent): void {
    logConnectionEvent(this.#logger, event)
    if (event.kind === 'disconnected') this.#broker?.disconnected()
    if (event.kind === 'reconnected') this.#broker?.reconnected()
  }
}

/** Gives up waiting when the start is aborted; whatever still comes is closed by `stop`. */
function orAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  signal.throwIfAborted()
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    work.then(resolve, reject)
  })
}

function packageVersion(): string {
  const file = new URL('../../package.json', import.meta.url)
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}
