import type { Settings } from '../config/settings.ts'
import type { HandlerOptions } from '../core/handler-definition.ts'
import type { HandlerProfile } from '../engine/ports.ts'

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
  }
}
