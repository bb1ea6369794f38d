import {
  AckPolicy,
  type ConsumerConfig,
  type ConsumerInfo,
  DeliverPolicy,
  JetStreamApiError,
  type JetStreamManager,
  ReplayPolicy,
  type StorageType,
  type StreamConfig,
} from '@nats-io/jetstream'
import { Kvm } from '@nats-io/kv'
import { errors, type NatsConnection, nanos } from '@nats-io/transport-node'
import type { Settings } from '../config/settings.ts'
import { MillraceError } from '../core/errors.ts'
import type { Absences } from './absences.ts'
import { hasCause } from './broker-errors.ts'
import { consumerNames, hasLeader, isUnserved } from './unserved.ts'

const streamMissing = 10059
const consumerMissing = 10014

/** What is needed and cannot be used. */
export interface Missing {
  /** In words for people, such as `consumer JOBS/email_send`. */
  readonly what: string
  /** The server's words, when it is there and nobody serves it; what has none was not created. */
  readonly unserved?: string
}

/** What looking at the streams, consumers and buckets showed. */
export interface TopologyReport {
  readonly missing: Missing[]
  /** What was created or changed. */
  readonly changed: string[]
  /** What differs and is left as it is. */
  readonly warnings: string[]
  /** Consumers that somebody serves and that cannot be looked at: they may differ. */
  readonly unseen: string[]
}

/** The settings that streams, consumers and buckets are made from. */
export type TopologySettings = Pick<
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
 * One look at the broker. What is missing is created and the rest brought up to date, or with `manage: false`
 * only reported. What the server answers is compared, not what it was asked for: servers ignore what they do
 * not know.
 */
export interface Look {
  readonly nc: NatsConnection
  readonly jsm: JetStreamManager
  readonly settings: TopologySettings
  /** What looks of the same supervisor have seen. */
  readonly absences: Absences
  readonly report: TopologyReport
}

/**
 * Goes on without what no server answers for: that is reported, and no reason to give up what else is to be made sure
 * of. A stream or bucket is not made anew: it comes back with all it has when a leader is elected or its server is there.
 */
export async function unlessUnserved<T>(
  { report }: Look,
  what: string,
  ensure: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await ensure()
  } catch (error) {
    if (!isUnserved(error)) throw error
    report.missing.push({ what, unserved: error.message })
    return undefined
  }
}

/** Creates a stream or brings it up to date; undefined when it is missing and not to be created, or not yet. */
export async function ensureStream(
  { jsm, settings, absences, report }: Look,
  wanted: Partial<StreamConfig> & { name: string },
): Promise<{ createdAt: string; config: StreamConfig } | undefined> {
  const found = await orMissing(jsm.streams.info(wanted.name))
  if (!found) {
    if (!settings.manage || !absences.mayBeMade(wanted.name)) {
      report.missing.push({ what: `stream ${wanted.name}` })
      return undefined
    }
    const created = await jsm.streams.add(wanted as Parameters<typeof jsm.streams.add>[0])
    absences.present(wanted.name)
    report.changed.push(`created stream ${wanted.name}`)
    return { createdAt: created.created, config: created.config }
  }
  absences.present(wanted.name)
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
  if (changeable.length > 0 && settings.manage) {
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

/** A consumer that has to be there. */
export interface Durable {
  readonly name: string
  readonly subject: string
  /** Told when it was missing and is new. */
  made?(): void
}

/**
 * Creates durable consumers of the messages on their subjects, or brings them up to date. The server never gives up on a
 * message by itself, and never holds others back because many are handed out.
 */
export async function ensureDurables(
  look: Look,
  stream: string,
  durables: readonly Durable[],
): Promise<void> {
  const { nc, settings, report } = look
  const doubted: { durable: Durable; error: JetStreamApiError }[] = []
  // One after the other: servers before 2.10 need long for each when many jobs wait.
  for (const durable of durables) {
    let found: ConsumerInfo | undefined
    try {
      found = await readConsumer(look.jsm, stream, durable.name)
    } catch (error) {
      if (!isUnserved(error)) throw error
      doubted.push({ durable, error })
      continue
    }
    await unlessUnserved(look, labelOf(stream, durable.name), () =>
      ensureDurable(look, stream, durable, found),
    )
  }
  // All at once: each that nobody leads takes its time.
  const areLed = await Promise.all(doubted.map(({ durable }) => hasLeader(nc, stream, durable.name)))
  const leaderless = doubted.filter((_, index) => !areLed[index])
  // Who must not make one anew need not be permitted to ask.
  const names = settings.manage && leaderless.length > 0 ? await consumerNames(nc, stream) : undefined
  for (const { durable, error } of leaderless) {
    const what = labelOf(stream, durable.name)
    if (names === undefined || names.has(durable.name)) {
      report.missing.push({ what, unserved: error.message })
      continue
    }
    try {
      await makeDurable(look, stream, durable)
    } catch (failure) {
      // Who is behind may be the one that should answer.
      if (!isUnserved(failure) && !hasCause(failure, errors.TimeoutError)) throw failure
      report.missing.push({ what, unserved: error.message })
    }
  }
  for (const [index, { durable }] of doubted.entries())
    if (areLed[index]) report.unseen.push(labelOf(stream, durable.name))
}

function labelOf(stream: string, durable: string): string {
  return `consumer ${stream}/${durable}`
}

function wantedOf({ name, subject }: Durable, settings: TopologySettings): Partial<ConsumerConfig> {
  return {
    durable_name: name,
    filter_subject: subject,
    ack_policy: AckPolicy.Explicit,
    deliver_policy: DeliverPolicy.All,
    replay_policy: ReplayPolicy.Instant,
    ack_wait: nanos(settings.ackWaitMs),
    max_deliver: -1,
    max_ack_pending: -1,
    max_waiting: 4096,
  }
}

async function makeDurable({ jsm, settings, report }: Look, stream: string, durable: Durable): Promise<void> {
  await jsm.consumers.add(stream, wantedOf(durable, settings))
  report.changed.push(`created ${labelOf(stream, durable.name)}`)
  durable.made?.()
}

async function ensureDurable(
  look: Look,
  stream: string,
  durable: Durable,
  found: ConsumerInfo | undefined,
): Promise<void> {
  const { jsm, settings, report } = look
  const label = labelOf(stream, durable.name)
  if (!found) {
    if (settings.manage) await makeDurable(look, stream, durable)
    else report.missing.push({ what: label })
    return
  }
  const wanted = wantedOf(durable, settings)
  const differing = differences(wanted, found.config)
  if (differing.includes('ack_policy')) {
    throw new MillraceError(
      'topology_conflict',
      `${label} has ack_policy ${found.config.ack_policy}; remove it, and Millrace creates it with explicit acks`,
    )
  }
  const fixed = ['deliver_policy', 'replay_policy', 'max_waiting']
  for (const field of differing) {
    if (fixed.includes(field) || !settings.manage) {
      report.warnings.push(
        `${label}: ${field} is ${shown(found.config, field)}, expected ${shown(wanted, field)}`,
      )
    }
  }
  const changeable = differing.filter((field) => !fixed.includes(field))
  if (changeable.length === 0 || !settings.manage) return
  await jsm.consumers.update(stream, durable.name, wanted)
  report.changed.push(`updated ${label}: ${changeable.join(', ')}`)
}

/**
 * Creates a bucket, or brings the age of its entries up to date; 0 keeps them for ever. A header that sweeps
 * everything away (`Nats-Rollup: all`) is not taken from whoever may write one entry.
 */
export async function ensureBucket(
  { nc, jsm, settings, absences, report }: Look,
  bucket: string,
  maxAgeMs: number,
): Promise<void> {
  const name = `KV_${bucket}`
  const wanted = { max_age: nanos(maxAgeMs), allow_rollup_hdrs: false }
  let found = await orMissing(jsm.streams.info(name))
  const isNew = !found
  if (!found) {
    if (!settings.manage || !absences.mayBeMade(name)) {
      report.missing.push({ what: `bucket ${bucket}` })
      return
    }
    await new Kvm(nc).create(bucket, {
      history: 1,
      ttl: maxAgeMs,
      storage: settings.storage as StorageType,
      replicas: settings.replicas,
    })
    report.changed.push(`created bucket ${bucket}`)
    found = await jsm.streams.info(name)
  }
  absences.present(name)
  const { config } = found
  const differing = differences(wanted, config)
  if (differing.length === 0) return
  if (!settings.manage) {
    for (const field of differing) {
      report.warnings.push(
        `bucket ${bucket}: ${field} is ${shown(config, field)}, expected ${shown(wanted, field)}`,
      )
    }
    return
  }
  const window = config.duplicate_window
  const duplicate_window = wanted.max_age === 0 ? window : Math.min(window, wanted.max_age)
  await jsm.streams.update(name, { ...config, ...wanted, duplicate_window })
  if (!isNew) report.changed.push(`updated bucket ${bucket}: ${differing.join(', ')}`)
}

export function isStreamMissing(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.code === streamMissing
}

/** In one line, for people. */
export function nameMissing({ what, unserved }: Missing): string {
  return unserved === undefined ? what : `${what}: ${unserved}`
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
