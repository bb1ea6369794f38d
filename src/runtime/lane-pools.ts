import type { Settings } from '../config/settings.ts'
import type { PoolName } from '../core/handler-definition.ts'
import { examineMs } from '../engine/deadlines.ts'
import { aheadLimit } from '../engine/dispatcher.ts'
import type { HandlerProfile } from '../engine/handler-profile.ts'
import { LanePool, type LanePoolListener } from '../threads/lane-pool.ts'
import { prepareToAsk } from '../threads/thread-inspector.ts'
import { roomsOf } from './handler-profiles.ts'

/** A thread that has not ended this long after it was told to is stuck in native code. */
const stuckMs = 500

type LanePoolOptions = ConstructorParameters<typeof LanePool>[0]

/**
 * Starts the threads of every pool that some handler needs; each has all handlers, and runs those of its pool. Where a
 * grace leaves no time to start the thread that asks others where they are, that is started, too.
 */
export function startPools(
  about: {
    readonly settings: Settings
    readonly supervisorId: string
    readonly profiles: readonly HandlerProfile[]
    readonly handlers: LanePoolOptions['handlers']
    readonly resultMaxBytes: number
  },
  listener: LanePoolListener,
): Map<PoolName, LanePool> {
  const { settings, supervisorId, profiles, handlers, resultMaxBytes } = about
  const pools = new Map<PoolName, LanePool>()
  for (const [name, room] of roomsOf(profiles, settings)) {
    const options: LanePoolOptions = {
      name,
      ...room,
      slots: room.concurrency + aheadLimit,
      memoryMb: settings.threadMemoryMb ?? undefined,
      handlers,
      pool: new Set(profiles.filter((profile) => profile.pool === name).map((profile) => profile.name)),
      namespace: settings.namespace,
      supervisorId,
      logLevel: settings.logLevel,
      resultMaxBytes,
      ackWaitMs: settings.ackWaitMs,
      stuckMs,
    }
    pools.set(name, new LanePool(options, listener))
  }
  // Elsewhere there is time for it during the grace.
  const isHurried = profiles.some(({ graceMs }) => graceMs < examineMs)
  if (settings.autopsy === 'on' && isHurried) prepareToAsk()
  return pools
}
