import { type JetStreamManager, jetstreamManager, type StreamInfo } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { MillraceError } from '../core/errors.ts'
import { isRecord } from '../core/field-checks.ts'
import { handlerOfConsumer, isHandlerName, type Names, type Priority, priorities } from '../core/names.ts'
import { Absences } from './absences.ts'
import { explainRequest } from './broker-errors.ts'
import type { BrokerConnection } from './connection.ts'
import { listConsumers, listMs } from './consumer-list.ts'
import { isStreamMissing, type TopologyReport, type TopologySettings } from './ensure.ts'
import { rarePriorities } from './priority-sources.ts'
import { ensureTopology } from './topology.ts'

const requestMs = 2_000

/** What an account may use, and uses; undefined without a limit. */
export interface AccountUse {
  readonly limits: readonly { readonly what: string; readonly used: number; readonly limit: number }[]
}

/** A stream as doctor looks at it. */
export interface StreamFacts {
  readonly name: string
  readonly replicas: number
  readonly storage: string
  readonly messages: number
  readonly bytes: number
  readonly maxMessages: number | undefined
  readonly maxBytes: number | undefined
  /** Of a cluster: nobody leads it, so nothing can be stored. */
  readonly isLeaderless: boolean
  /** Servers of a cluster that keep it and are away. */
  readonly offline: readonly string[]
  /** The server's clock when it answered, where it says so; epoch milliseconds. */
  readonly serverAt: number | undefined
}

/** A consumer of a stream of jobs. */
export interface ConsumerFacts {
  readonly stream: string
  readonly priority: Priority
  readonly name: string
  /** Undefined when it takes several subjects, or all. Of one that nobody serves, what its name says. */
  readonly filter: string | undefined
}

/** What a user may say and hear, as the server tells it; empty lists allow everything. */
export interface UserRights {
  readonly user: string
  readonly publish: Rights
  readonly subscribe: Rights
}

export interface Rights {
  readonly allow: readonly string[]
  readonly deny: readonly string[]
}

/** Looks at a broker and changes nothing. What cannot be asked rejects with a `MillraceError`. */
export class Examination {
  readonly #nc: NatsConnection
  readonly #jsm: JetStreamManager
  readonly #names: Names

  private constructor(nc: NatsConnection, jsm: JetStreamManager, names: Names) {
    this.#nc = nc
    this.#jsm = jsm
    this.#names = names
  }

  static async begin(connection: BrokerConnection, names: Names): Promise<Examination> {
    const jsm = await jetstreamManager(connection.nc, { checkAPI: false, timeout: requestMs })
    return new Examination(connection.nc, jsm, names)
  }

  async account(): Promise<AccountUse> {
    const { memory, storage, streams, consumers, limits } = await explained(this.#jsm.getAccountInfo())
    const all: [what: string, used: number, limit: number][] = [
      ['bytes of storage', storage, limits.max_storage],
      ['bytes of memory', memory, limits.max_memory],
      ['streams', streams, limits.max_streams],
      ['consumers', consumers, limits.max_consumers],
    ]
    return {
      limits: all.filter(([, , limit]) => limit >= 0).map(([what, used, limit]) => ({ what, used, limit })),
    }
  }

  /** Undefined when there is no such stream. */
  async stream(name: string): Promise<StreamFacts | undefined> {
    try {
      return factsOf(await this.#jsm.streams.info(name))
    } catch (error) {
      if (isStreamMissing(error)) return undefined
      throw explainRequest(error, requestMs)
    }
  }

  /** Of every stream of jobs that there is. */
  async consumers(): Promise<ConsumerFacts[]> {
    const found: ConsumerFacts[] = []
    for (const priority of priorities) {
      const stream = this.#names.streamOf(priority)
      try {
        const { served, unserved } = await listConsumers(this.#nc, stream)
        for (const { name, config } of served)
          found.push({ stream, priority, name, filter: config.filter_subject })
        for (const name of unserved)
          found.push({
            stream,
            priority,
            name,
            filter: this.#names.jobSubject(handlerOfConsumer(name), priority),
          })
      } catch (error) {
        if (!isStreamMissing(error)) throw explainRequest(error, listMs)
      }
    }
    return found
  }

  /**
   * Compares what is there with what supervisors with these settings and handlers need.
   *
   * @throws {MillraceError} also `topology_conflict`, for something that cannot be changed to what is needed.
   */
  async topology(
    settings: TopologySettings,
    connection: BrokerConnection,
    handlers: readonly string[],
    consumers: readonly ConsumerFacts[],
  ): Promise<TopologyReport> {
    const { ticksStream, resultsBucket } = this.#names
    const [ticks, results] = await Promise.all([this.stream(ticksStream), this.stream(`KV_${resultsBucket}`)])
    const noticed = Object.fromEntries(
      rarePriorities.map((priority) => [priority, new Set(handlersOf(consumers, this.#names, priority))]),
    ) as Record<(typeof rarePriorities)[number], Set<string>>
    return explained(
      ensureTopology({
        nc: this.#nc,
        jsm: this.#jsm,
        names: this.#names,
        settings: { ...settings, manage: false },
        absences: new Absences(),
        version: connection.version,
        handlers,
        hasSchedules: ticks !== undefined,
        keepsResults: results !== undefined,
        noticed,
        streamSeen: () => {},
        consumerMade: () => {},
      }),
    )
  }

  /** Undefined when the server does not tell, as before 2.10, or must not be asked. */
  async rights(): Promise<UserRights | undefined> {
    try {
      const answer = await this.#nc.request('$SYS.REQ.USER.INFO', '', { timeout: requestMs })
      const { data } = answer.json<{ data?: { user?: unknown; permissions?: unknown } }>()
      const permissions = isRecord(data?.permissions) ? data.permissions : {}
      return {
        user: String(data?.user ?? ''),
        publish: rightsOf(permissions['publish']),
        subscribe: rightsOf(permissions['subscribe']),
      }
    } catch {
      return undefined
    }
  }
}

/** The handlers that have a consumer of this priority, by the consumers' filters. */
export function handlersOf(
  consumers: readonly ConsumerFacts[],
  names: Names,
  priority: Priority = 'normal',
): string[] {
  const prefix = names.jobSubject('', priority)
  return consumers
    .filter((consumer) => consumer.priority === priority && consumer.filter?.startsWith(prefix))
    .map(({ filter }) => filter!.slice(prefix.length))
    .filter(isHandlerName)
}

function factsOf(info: StreamInfo): StreamFacts {
  const { config, state, cluster } = info
  const { ts } = info as { ts?: unknown }
  const serverAt = typeof ts === 'string' ? Date.parse(ts) : Number.NaN
  return {
    name: config.name,
    replicas: config.num_replicas,
    storage: config.storage,
    messages: state.messages,
    bytes: state.bytes,
    maxMessages: config.max_msgs > 0 ? config.max_msgs : undefined,
    maxBytes: config.max_bytes > 0 ? config.max_bytes : undefined,
    isLeaderless: cluster?.name !== undefined && !cluster.leader,
    offline: (cluster?.replicas ?? []).filter(({ offline }) => offline === true).map(({ name }) => name),
    serverAt: Number.isNaN(serverAt) ? undefined : serverAt,
  }
}

function rightsOf(stored: unknown): Rights {
  const list = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : [])
  return isRecord(stored)
    ? { allow: list(stored['allow']), deny: list(stored['deny']) }
    : { allow: [], deny: [] }
}

async function explained<T>(asked: Promise<T>): Promise<T> {
  try {
    return await asked
  } catch (error) {
    throw error instanceof MillraceError ? error : explainRequest(error, requestMs)
  }
}
