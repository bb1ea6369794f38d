import { mkdirSync } from 'node:fs'
import path from 'node:path'
import {
  AckPolicy,
  DiscardPolicy,
  type JetStreamManager,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
} from '@nats-io/jetstream'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { isOlder } from '#src/broker/find-server.js'
import { type LocalBroker, startLocalBroker } from '#src/broker/local-broker.js'
import type { RunOptions } from '../scenario.ts'

/** The stream that every contestant of ours takes its jobs from: the one a supervisor would create. */
export const jobStream = 'JOBS'

const ackWaitNs = 30_000_000_000
/** As Redis with AOF, it then loses a second of jobs at most when the power fails. Servers before 2.10 do not know it. */
const syncing = 'jetstream { sync_interval: 1s }'

/** What one run on NATS happens on: a nats-server of its own with an empty job stream. */
export type Stage = {
  readonly broker: LocalBroker
  readonly connection: NatsConnection
  readonly streams: JetStreamManager
  /** For whatever the processes under test write; removed at the end. */
  readonly dir: string
  readonly options: RunOptions
}

/**
 * Starts a fresh nats-server, so that no run inherits the files, caches or memory of another, and
 * creates the job stream and one consumer for each of `handlers`, alike for every contestant.
 */
export async function setStage(options: RunOptions, handlers: readonly string[]): Promise<Stage> {
  const { binary, natsVersion } = options
  const config = isOlder(natsVersion, '2.10.0') ? {} : { config: syncing }
  const broker = await startLocalBroker({ binary, ...config })
  options.endings.add(() => broker.stop())
  // In the broker's folder, which is removed even when this process is killed.
  const dir = path.join(broker.storeDir, 'bench')
  mkdirSync(dir)
  const connection = await connect({ servers: broker.url })
  options.endings.add(() => connection.close())
  const streams = await jetstreamManager(connection)
  await createJobStream(streams, handlers)
  return { broker, connection, streams, dir, options }
}

async function createJobStream(streams: JetStreamManager, handlers: readonly string[]): Promise<void> {
  await streams.streams.add({
    name: jobStream,
    subjects: ['jobs.>'],
    retention: RetentionPolicy.Workqueue,
    storage: StorageType.File,
    discard: DiscardPolicy.New,
    allow_direct: true,
  })
  for (const handler of handlers) {
    await streams.consumers.add(jobStream, {
      durable_name: handler,
      filter_subject: `jobs.${handler}`,
      ack_policy: AckPolicy.Explicit,
      ack_wait: ackWaitNs,
      max_ack_pending: -1,
      max_waiting: 4096,
    })
  }
}
