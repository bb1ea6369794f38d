import type { Settings } from '../config/settings.ts'
import type { HandlerOptions, PoolName } from '../core/handler-definition.ts'
import type { HandlerProfile } from '../engine/handler-profile.ts'
import type { Room } from '../engine/pull-loop.ts'

/** Settles every option of a handler: what its definition leaves open comes from the settings. */
export function profileOf(name: string, options: HandlerOptions, settings: Settings): HandlerProfile {
  const backoff = options.retry?.backoff ?? {}
  return {
    name,
    pool: options.pool ?? 'cpu',
    deadlineMs: options.deadlineMs ?? settings.deadlineMs,
    graceMs: options.graceMs ?? settings.graceMs,
    retry: {
      maxAttempts: options.retry?.maxAttempts ?? settings.maxAttempts,
      backoff: {
        kind: 'exponential',
        baseMs: backoff.baseMs ?? settings.backoffBaseMs,
        factor: backoff.factor ?? 2,
        maxMs: backoff.maxMs ?? settings.backoffMaxMs,
        jitter: backoff.jitter ?? 'full',
      },
    },
    concurrency: options.concurrency ?? Number.POSITIVE_INFINITY,
    maxInFlight: options.maxInFlight ?? Number.POSITIVE_INFINITY,
    rateLimit: options.rateLimit,
    result: options.result ?? false,
  }
}

/** The pools that these handlers need, and how much room each has. */
export function roomsOf(profiles: readonly HandlerProfile[], settings: Settings): Map<PoolName, Room> {
  const rooms = new Map<PoolName, Room>()
  const has = (pool: PoolName): boolean => profiles.some((profile) => profile.pool === pool)
  if (has('cpu')) rooms.set('cpu', { threads: settings.threads, concurrency: 1 })
  if (has('io')) rooms.set('io', { threads: settings.ioThreads, concurrency: settings.ioConcurrency })
  return rooms
}
