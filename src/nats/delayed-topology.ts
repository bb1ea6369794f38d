import { DiscardPolicy, RetentionPolicy, type StorageType } from '@nats-io/jetstream'
import { nanos } from '@nats-io/transport-node'
import type { Names } from '../core/names.ts'
import { ensureDurables, ensureStream, type Look } from './ensure.ts'
import type { ServerVersion } from './server-version.ts'

/** The durable that all supervisors share. */
export const moverName = 'mover'

/** What was found of the delayed stream. */
export interface DelayedTopology {
  readonly createdAt: string
  /** The server moves its messages when they are due. */
  readonly schedules: boolean
}

/**
 * Creates the delayed stream and its consumer, or with `manage: false` only looks.
 *
 * It has no limits and discards the old, because servers with schedules refuse anything else, or drop
 * schedules silently to stay within a limit. Schedules are asked for where they are known to work, and
 * believed only when the answer has them: a leader of an older version ignores the question.
 */
export async function ensureDelayed(
  look: Look,
  names: Names,
  version: ServerVersion,
): Promise<DelayedTopology | undefined> {
  const { settings, report } = look
  const canSchedule = hasSoundSchedules(version)
  const stream = await ensureStream(look, {
    name: names.delayedStream,
    subjects: [names.delayedSubjects],
    retention: RetentionPolicy.Workqueue,
    discard: DiscardPolicy.Old,
    duplicate_window: nanos(settings.duplicateWindowMs),
    allow_direct: true,
    storage: settings.storage as StorageType,
    num_replicas: settings.replicas,
    ...(canSchedule && { allow_msg_schedules: true }),
  })
  if (!stream) {
    report.missing.push({ what: `consumer ${names.delayedStream}/${moverName}` })
    return undefined
  }
  await ensureDurables(look, names.delayedStream, [{ name: moverName, subject: names.dueSubjects }])
  return { createdAt: stream.createdAt, schedules: canSchedule && stream.config.allow_msg_schedules === true }
}

/** Before these versions a schedule could get stuck, or a stream with schedules not be loaded again. */
export function hasSoundSchedules({ major, minor, patch }: ServerVersion): boolean {
  if (major !== 2) return major > 2
  if (minor === 12) return patch >= 10
  if (minor === 14) return patch >= 2
  return minor > 14
}
