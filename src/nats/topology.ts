import {
  AckPolicy,
  type ConsumerConfig,
  type ConsumerInfo,
  DeliverPolicy,
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamManager,
  ReplayPolicy,
  RetentionPolicy,
  type StorageType,
  type StreamConfig,
} from '@nats-io/jetstream'
import { Kvm } from '@nats-io/kv'
import { type NatsConnection, nanos } from '@nats-io/transport-node'
import type { Settings } from '../config/settings.ts'
import { MillraceError } from '../core/errors.ts'
import { consumerName, type Names, type Priority } from '../core/names.ts'
import { type RarePriority, rarePriorities } from './priority-sources.ts'

/** What is left free below the server's `max_payload`, so that every dead letter fits. */
export const deadLetterRoomBytes = 16 * 1024
/** Records of jobs that nobody settles for so long are dropped. */
const recordMaxAgeMs = 60 * 24 * 3_600_000

const streamMissing = 10059
const consumerMissing = 10014

/** What looking at the streams, consumers and buckets showed. */
export interface TopologyReport {
  /** What is not there and was not created, in words for people. */
  readonly missing: string[]
  /** What was created or changed. */
  readonly changed: string[]
  /** What differs and is left as it is. */
  readonly warnings: string[]
}

/** The settings that streams and consumers are made from. */
export type Wanted = Pick<
  Settings,
  | 'ackWaitMs'
  | 'manage'
  | 'replicas'
  | 'storage'
  | 'maxJobs'
  | 'maxBytes'
  | 'duplicateWindowMs'
  | 'deadMaxAgeMs'
  | 'resultTtlMs'
>

/**
 * Creates what is missing and brings the rest up to date, or with `manage: false` only looks.
 *
 * Compares what the server answers, not what it was asked for: servers ignore what they do not know.
 *
 * @param noticed - the handlers that have jobs of a priority other than normal: these need consumers for
 *   them, too. The streams of these priorities may be missing while nobody needs them.
 * @param streamSeen - told when a stream of jobs was made, before its consumers are looked at: until
 *   they are there, no job of a new stream can arrive.
 * @throws {MillraceError} `topology_conflict` when something exists that cannot be changed to what is
 *   needed and would lose jobs as it is.
 */
export async function ensureTopology(
  nc: NatsConnection,
  jsm: JetStreamManager,
  names: Names,
  handlers: readonly string[],
  hasSchedules: boolean,
  settings: Wanted,
  keepsResults: boolean,
  noticed: Readonly<Record<RarePriority, ReadonlySet<string>>>,
  streamSeen: (stream: string, createdAt: string | undefined) => void,
): Promise<TopologyReport> {
  const report = { missing: [] as string[], changed: [] as string[], warnings: [] as string[] }
  const shared = { storage: settings.storage as StorageType, num_replicas: settings.replicas }
  const streamOf = (priority: Priority): Partial<StreamConfig> & { name: string } => ({
    name: names.streamOf(priority),
    subjects: [names.subjectsOf(priority)],
    retention: RetentionPolicy.Workqueue,
    discard: DiscardPolicy.New,
    max_msgs: settings.maxJobs ?? -1,
    max_bytes: settings.maxBytes ?? -1,
    max_msg_size: (nc.info?.max_payload ?? 1024 * 1024) - deadLetterRoomBytes,
    duplicate_window: nanos(settings.duplicateWindowMs),
    allow_direct: true,
    ...shared,
  })
  const jobStream = await ensureStream(jsm, settings.manage, report, streamOf('normal'))
  streamSeen(names.jobStream, jobStream?.createdAt)
  await ensureStream(jsm, settings.manage, report, {
    name: names.deadStream,
    subjects: [names.deadSubjects],
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.New,
    max_age: nanos(settings.deadMaxAgeMs),
    duplicate_window: nanos(Math.min(settings.duplicateWindowMs, settings.deadMaxAgeMs)),
    allow_direct: true,
    ...shared,
  })
  if (hasSchedules) {
    await ensureStream(jsm, settings.manage, report, {
      name: names.ticksStream,
      subjects: [names.tickSubjects],
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.Old,
      max_msgs_per_subject: 1,
      allow_direct: true,
      ...shared,
    })
  }
  for (const bucket of [names.attemptsBucket, names.controlBucket]) {
    await ensureBucket(
      nc,
      jsm,
      report,
      bucket,
      bucket === names.attemptsBucket ? recordMaxAgeMs : 0,
      settings,
    )
  }
  if (keepsResults) await ensureResultsBucket(nc, jsm, report, names.resultsBucket, settings)
  if (jobStream) for (const handler of handlers) await ensureConsumer(jsm, names, report, handler, settings)
  else
    for (const handler of handlers)
      report.missing.push(`consumer ${names.jobStream}/${consumerName(handler)}`)
  for (const priority of rarePriorities) {
    const needed = noticed[priority].size > 0
    const streamReport = needed ? report : { ...report, missing: [] }
    const found = await ensureStream(jsm, settings.manage, streamReport, streamOf(priority))
    streamSeen(names.streamOf(priority), found?.createdAt)
    if (!found) continue
    for (const handler of noticed[priority])
      await ensureConsumer(jsm, names, report, handler, settings, priority)
  }
  return report
}

/** Creates a stream or brings it up to date; undefined when it is missing and not to be created. */
export async function ensureStream(
  jsm: JetStreamManager,
  manage: boolean,
  report: TopologyReport,
  wanted: Partial<StreamConfig> & { name: string },
): Promise<{ createdAt: string; config: StreamConfig } | undefined> {
  const found = await orMissing(jsm.streams.info(wanted.name))
  if (!found) {
    if (!manage) {
      report.missing.push(`stream ${wanted.name}`)
      return undefined
    }
    const created = await jsm.streams.add(wanted as Parameters<typeof jsm.streams.add>[0])
    report.changed.push(`created stream ${wanted.name}`)
    return { createdAt: created.created, config: created.config }
  }
  const differing = differences(wanted, found.config)
  const fixed: string[] = differing.filter((field) => field === 'retention' || field === 'storage')
  if (fixed.includes('retention')) {
    throw new MillraceError(
      'topology_conflict',
      `stream ${wanted.name} has retention ${found.config.retention}, which cannot be changed; Millrace needs ${wanted.retention}. ` +
        'Rename or remove that stream, or choose another MILLRACE_NAMESPACE',
    )
  }
  for (const field of fixed) {
    report.warnings.push(
      `stream ${wanted.name}: ${field} is ${shown(found.config, field)}, not ${shown(wanted, field)}; it cannot be changed`,
    )
  }
  const changeable = differing.filter((field) => !fixed.includes(field))
  if (changeable.length > 0 && manage) {
    const { subjects } = found.config
    const merged = {
      ...wanted,
      storage: found.config.storage,
      subjects: [...new Set([...subjects, ...(wanted.subjects ?? [])])],
    }
    const { config } = await jsm.streams.update(wanted.name, merged)
    report.changed.push(`updated stream ${wanted.name}: ${changeable.join(', ')}`)
    return { createdAt: found.created, config }
  } else if (changeable.length > 0) {
    for (const field of changeable) {
      report.warnings.push(
        `stream ${wanted.name}: ${field} is ${shown(found.config, field)}, expected ${shown(wanted, field)}`,
      )
    }
  }
  return { createdAt: found.created, config: found.config }
}

/** Creates the consumer of a handler and priority or brings it up to date; with `manage: false` only looks. */
export async function ensureConsumer(
  jsm: JetStreamManager,
  names: Names,
  report: TopologyReport,
  handler: string,
  settings: Wanted,
  priority: Priority = 'normal',
): Promise<void> {
  const stream = names.streamOf(priority)
  const durable = consumerName(handler)
  const wanted: Partial<ConsumerConfig> = {
    durable_name: durable,
    filter_subject: names.jobSubject(handler, priority),
    ack_policy: AckPolicy.Explicit,
    deliver_policy: DeliverPolicy.All,
    replay_policy: ReplayPolicy.Instant,
    ack_wait: nanos(settings.ackWaitMs),
    max_deliver: -1,
    max_ack_pending: -1,
    max_waiting: 4096,
  }
  await ensureDurable(jsm, report, stream, settings.manage, wanted)
}

/** Creates a durable consumer or brings it up to date. */
export async function ensureDurable(
  jsm: JetStreamManager,
  report: TopologyReport,
  stream: string,
  manage: boolean,
  wanted: Partial<ConsumerConfig>,
): Promise<void> {
  const durable = wanted.durable_name!
  const label = `consumer ${stream}/${durable}`
  const found = await orMissing(jsm.consumers.info(stream, durable))
  if (!found) {
    if (!manage) report.missing.push(label)
    else {
      await jsm.consumers.add(stream, wanted)
      report.changed.push(`created ${label}`)
    }
    return
  }
  const differing = differences(wanted, found.config)
  if (differing.includes('ack_policy')) {
    throw new MillraceError(
      'topology_conflict',
      `${label} has ack_policy ${found.config.ack_policy}; remove it, and Millrace creates it with explicit acks`,
    )
  }
  const fixed = ['deliver_policy', 'replay_policy', 'max_waiting']
  for (const field of differing) {
    if (fixed.includes(field) || !manage) {
      report.warnings.push(
        `${label}: ${field} is ${shown(found.config, field)}, expected ${shown(wanted, field)}`,
      )
    }
  }
  const changeable = differing.filter((field) => !fixed.includes(field))
  if (changeable.length === 0 || !manage) return
  await jsm.consumers.update(stream, durable, wanted)
  report.changed.push(`updated ${label}: ${changeable.join(', ')}`)
}

async function ensureBucket(
  nc: NatsConnection,
  jsm: JetStreamManager,
  report: TopologyReport,
  bucket: string,
  maxAgeMs: number,
  settings: Wanted,
): Promise<void> {
  if (await orMissing(jsm.streams.info(`KV_${bucket}`))) return
  if (!settings.manage) {
    report.missing.push(`bucket ${bucket}`)
    return
  }
  await new Kvm(nc).create(bucket, {
    history: 1,
    ttl: maxAgeMs,
    storage: settings.storage as StorageType,
    replicas: settings.replicas,
  })
  report.changed.push(`created bucket ${bucket}`)
}

export function isStreamMissing(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.code === streamMissing
}

/** Its age is brought up to date, too: it is how long results are kept. */
async function ensureResultsBucket(
  nc: NatsConnection,
  jsm: JetStreamManager,
  report: TopologyReport,
  bucket: string,
  settings: Wanted,
): Promise<void> {
  await ensureBucket(nc, jsm, report, bucket, settings.resultTtlMs, settings)
  const found = await orMissing(jsm.streams.info(`KV_${bucket}`))
  const max_age = nanos(settings.resultTtlMs)
  if (!found || found.config.max_age === max_age) return
  if (settings.manage) {
    const duplicate_window = Math.min(found.config.duplicate_window, max_age)
    await jsm.streams.update(found.config.name, { ...found.config, max_age, duplicate_window })
    report.changed.push(`updated bucket ${bucket}: max_age`)
  } else {
    report.warnings.push(`bucket ${bucket}: max_age is ${found.config.max_age}, expected ${max_age}`)
  }
}

/** Undefined when there is no such consumer, or no such stream. */
export function readConsumer(
  jsm: JetStreamManager,
  stream: string,
  consumer: string,
): Promise<ConsumerInfo | undefined> {
  return orMissing(jsm.consumers.info(stream, consumer))
}

async function orMissing<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked
  } catch (error) {
    if (
      error instanceof JetStreamApiError &&
      (error.code === streamMissing || error.code === consumerMissing)
    )
      return undefined
    throw error
  }
}

/** The fields of `wanted` that `found` has otherwise; an absent number is the server's "unlimited". */
function differences(wanted: object, found: object): string[] {
  return Object.entries(wanted)
    .filter(([field, value]) => {
      const has = (found as Record<string, unknown>)[field]
      if (field === 'subjects')
        return !(value as string[]).every((subject) => (has as string[]).includes(subject))
      return has !== value && !(has === undefined && (value === -1 || value === false))
    })
    .map(([field]) => field)
}

function shown(config: object, field: string): string {
  return JSON.stringify((config as Record<string, unknown>)[field])
}
