import {
  DiscardPolicy,
  type JetStreamManager,
  RetentionPolicy,
  type StorageType,
  type StreamConfig,
} from '@nats-io/jetstream'
import { type NatsConnection, nanos } from '@nats-io/transport-node'
import { consumerName, type Names, type Priority } from '../core/names.ts'
import type { Absences } from './absences.ts'
import { type DelayedTopology, ensureDelayed } from './delayed-topology.ts'
import {
  ensureBucket,
  ensureDurables,
  ensureStream,
  type Look,
  type TopologyReport,
  type TopologySettings,
  unlessUnserved,
} from './ensure.ts'
import { type RarePriority, rarePriorities } from './priority-sources.ts'
import type { ServerVersion } from './server-version.ts'

/** What is left free below the server's `max_payload`, so that every dead letter fits. */
export const deadLetterRoomBytes = 16 * 1024
/** Records of jobs that nobody settles for so long are dropped. */
const recordMaxAgeMs = 60 * 24 * 3_600_000

/** What is needed at the broker, and who hears of what is there. */
export interface Topology {
  readonly nc: NatsConnection
  readonly jsm: JetStreamManager
  readonly names: Names
  readonly settings: TopologySettings
  readonly absences: Absences
  readonly version: ServerVersion
  readonly handlers: readonly string[]
  /** Ticks are to be published. */
  readonly hasSchedules: boolean
  /** Results are to be kept. */
  readonly keepsResults: boolean
  /**
   * The handlers that have jobs of a priority other than normal: these need consumers for them, too. The
   * streams of these priorities may be missing while nobody needs them.
   */
  readonly noticed: Readonly<Record<RarePriority, ReadonlySet<string>>>
  /**
   * A stream of jobs was made then. Told before its consumers are looked at: until they are there, no job of
   * a new stream can arrive.
   */
  streamSeen(stream: string, createdAt: string | undefined): void
  /** A consumer was missing and is new: what was asked of the one before it is not answered any more. */
  consumerMade(handler: string, priority: Priority): void
}

/** What was found, and of the delayed stream what the mover has to know. */
export interface TopologyFound extends TopologyReport {
  readonly delayed: DelayedTopology | undefined
}

/**
 * Creates what is missing and brings the rest up to date, or with `manage: false` only looks. A stream that was there
 * before is not created at once, see `absences.ts`.
 *
 * @throws {MillraceError} `topology_conflict` when something exists that cannot be changed to what is
 *   needed and would lose jobs as it is.
 */
export async function ensureTopology(topology: Topology): Promise<TopologyFound> {
  const { names, settings, handlers } = topology
  const look = lookFor(topology)
  const shared = { storage: settings.storage as StorageType, num_replicas: settings.replicas }
  const jobStream = await ensureJobStream(topology, look, 'normal')
  // What has to be seen before jobs are taken is looked at first.
  const rareStreams = new Map<RarePriority, object | undefined>()
  for (const priority of rarePriorities) {
    const isNeeded = topology.noticed[priority].size > 0
    const told = isNeeded || settings.manage ? look : silent(look)
    const found = await unlessUnserved(told, `stream ${names.streamOf(priority)}`, () =>
      ensureJobStream(topology, told, priority),
    )
    rareStreams.set(priority, found)
  }
  const dead = {
    name: names.deadStream,
    subjects: [names.deadSubjects],
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.New,
    max_age: nanos(settings.deadMaxAgeMs),
    duplicate_window: nanos(Math.min(settings.duplicateWindowMs, settings.deadMaxAgeMs)),
    allow_direct: true,
    ...shared,
  }
  const ticks = {
    name: names.ticksStream,
    subjects: [names.tickSubjects],
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.Old,
    max_msgs_per_subject: 1,
    allow_direct: true,
    ...shared,
  }
  for (const wanted of topology.hasSchedules ? [dead, ticks] : [dead]) {
    await unlessUnserved(look, `stream ${wanted.name}`, () => ensureStream(look, wanted))
  }
  const buckets: [name: string, maxAgeMs: number][] = [
    [names.attemptsBucket, recordMaxAgeMs],
    [names.controlBucket, 0],
  ]
  if (topology.keepsResults) buckets.push([names.resultsBucket, settings.resultTtlMs])
  for (const [bucket, maxAgeMs] of buckets) {
    await unlessUnserved(look, `bucket ${bucket}`, () => ensureBucket(look, bucket, maxAgeMs))
  }
  await ensureConsumers(topology, look, jobStream !== undefined, handlers, 'normal')
  for (const priority of rarePriorities) {
    const hasStream = rareStreams.get(priority) !== undefined
    await ensureConsumers(topology, look, hasStream, [...topology.noticed[priority]], priority)
  }
  const delayed = await unlessUnserved(look, `stream ${names.delayedStream}`, () =>
    ensureDelayed(look, names, topology.version),
  )
  return { ...look.report, delayed }
}

/** Makes sure of the consumer of one handler and priority. */
export async function ensureSource(
  topology: Topology,
  handler: string,
  priority: Priority,
): Promise<TopologyReport> {
  const look = lookFor(topology)
  await ensureConsumers(topology, look, true, [handler], priority)
  return look.report
}

function lookFor({ nc, jsm, settings, absences }: Topology): Look {
  return { nc, jsm, settings, absences, report: { missing: [], changed: [], warnings: [], unseen: [] } }
}

/** Does not say that something is missing. */
function silent(look: Look): Look {
  return { ...look, report: { ...look.report, missing: [] } }
}

async function ensureJobStream(
  { nc, names, settings, streamSeen }: Topology,
  look: Look,
  priority: Priority,
): Promise<{ config: StreamConfig } | undefined> {
  const stream = await ensureStream(look, {
    name: names.streamOf(priority),
    subjects: [names.subjectsOf(priority)],
    retention: RetentionPolicy.Workqueue,
    discard: DiscardPolicy.New,
    max_msgs: settings.maxJobs ?? -1,
    max_bytes: settings.maxBytes ?? -1,
    max_msg_size: (nc.info?.max_payload ?? 1024 * 1024) - deadLetterRoomBytes,
    duplicate_window: nanos(settings.duplicateWindowMs),
    allow_direct: true,
    storage: settings.storage as StorageType,
    num_replicas: settings.replicas,
  })
  streamSeen(names.streamOf(priority), stream?.createdAt)
  return stream
}

/** Without their stream they are missing, too. */
async function ensureConsumers(
  { names, consumerMade }: Topology,
  look: Look,
  hasStream: boolean,
  handlers: readonly string[],
  priority: Priority,
): Promise<void> {
  const stream = names.streamOf(priority)
  const durables = handlers.map((handler) => ({
    name: consumerName(handler),
    subject: names.jobSubject(handler, priority),
    made: () => consumerMade(handler, priority),
  }))
  if (hasStream) await ensureDurables(look, stream, durables)
  else look.report.missing.push(...durables.map(({ name }) => ({ what: `consumer ${stream}/${name}` })))
}
