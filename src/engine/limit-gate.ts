import type { Random } from '../core/backoff.ts'
import type { PoolName } from '../core/handler-definition.ts'
import { BrokerTime } from './broker-time.ts'
import type { Clock } from './clock-port.ts'
import { aheadOf } from './dispatcher.ts'
import type { Gate } from './gates.ts'
import { HandlerLimit } from './handler-limit.ts'
import type { HandlerProfile } from './handler-profile.ts'
import type { HandlerState } from './handler-state.ts'
import type { InFlightJob } from './in-flight-job.ts'
import { LimitShare, startMarginMs } from './limit-share.ts'
import type { Observer } from './observer-port.ts'
import type { Room } from './pull-loop.ts'
import type { SharedState } from './shared-state-port.ts'
import { horizonMs } from './waiting-jobs.ts'

/** How many jobs may wait here for a limit: enough for the next grant, and few enough to leave to others. */
const leastParked = 2
const mostParked = 256
/** A stop waits no longer than this until the permits are given back. */
const stopMs = 500

export interface LimitGateParts {
  readonly shared: SharedState
  readonly clock: Clock
  readonly random: Random
  readonly observer: Observer
  readonly supervisorId: string
  readonly ackWaitMs: number
  readonly handlers: readonly HandlerState[]
  readonly rooms: ReadonlyMap<PoolName, Room>
  pass(job: InFlightJob): void
}

/** Holds jobs back whose handler has a `rateLimit` or `maxInFlight`; all others go straight on. */
export class LimitGate implements Gate {
  readonly #clock: Clock
  readonly #limits = new Map<HandlerState, HandlerLimit>()
  readonly #parkLimits = new Map<HandlerState, number>()

  constructor(parts: LimitGateParts) {
    this.#clock = parts.clock
    const time = new BrokerTime()
    for (const handler of parts.handlers) {
      const { profile } = handler
      if (!isLimited(profile)) continue
      const room = parts.rooms.get(profile.pool)!
      const limits = { rate: profile.rateLimit, maxInFlight: profile.maxInFlight }
      const shared = { ...parts, handler: profile.name, limits }
      this.#limits.set(
        handler,
        new HandlerLimit({
          ...shared,
          share: new LimitShare({ ...shared, time }),
          room: () => roomOf(handler, room),
        }),
      )
      this.#parkLimits.set(handler, parkLimitOf(profile, room))
    }
  }

  enter(job: InFlightJob): boolean {
    return this.#limits.get(job.handler)?.enter(job) ?? true
  }

  started(job: InFlightJob, startedAt: number): void {
    this.#limits.get(job.handler)?.started(job, startedAt)
  }

  ended(job: InFlightJob): void {
    this.#limits.get(job.handler)?.ended(job)
  }

  settled(): void {}

  parkRoom(handler: HandlerState): number {
    const limit = this.#limits.get(handler)
    return limit ? this.#parkLimits.get(handler)! - limit.waiting : Number.POSITIVE_INFINITY
  }

  remove(job: InFlightJob): void {
    this.#limits.get(job.handler)?.remove(job)
  }

  takeAll(handler?: HandlerState): InFlightJob[] {
    const limits = handler ? [this.#limits.get(handler)] : [...this.#limits.values()]
    return limits.flatMap((limit) => limit?.takeAll() ?? [])
  }

  /** To be called on a new connection. */
  reconnected(): void {
    for (const limit of this.#limits.values()) limit.reconnected()
  }

  /** Gives back what this supervisor has, so that nobody has to wait until it counts as dead. */
  async stop(): Promise<void> {
    if (this.#limits.size === 0) return
    let cancel = (): void => {}
    const late = new Promise<void>((resolve) => {
      cancel = this.#clock.after(stopMs, resolve)
    })
    await Promise.race([Promise.all([...this.#limits.values()].map((limit) => limit.stop())), late])
    cancel()
  }
}

function isLimited({ rateLimit, maxInFlight }: HandlerProfile): boolean {
  return rateLimit !== undefined || maxInFlight !== Number.POSITIVE_INFINITY
}

/**
 * How many jobs of a handler the threads here would have at once. Short jobs of a handler that only has a rate
 * limit may lie ahead on a thread, as long as they begin within the time that their start was granted for;
 * a job that lies ahead would use up one of `maxInFlight` while it does nothing.
 */
function roomOf({ profile, averageMs }: HandlerState, { threads, concurrency }: Room): number {
  const limits = { rate: profile.rateLimit, maxInFlight: profile.maxInFlight }
  const mayLieAhead = profile.maxInFlight === Number.POSITIVE_INFINITY
  const share = Math.min(1, startMarginMs(limits) / 2 / horizonMs)
  const ahead = mayLieAhead ? Math.floor(aheadOf(averageMs, concurrency) * share) : 0
  return Math.min(profile.concurrency, threads * (concurrency + ahead))
}

function parkLimitOf({ rateLimit, maxInFlight, concurrency }: HandlerProfile, room: Room): number {
  const most = Math.min(mostParked, rateLimit?.jobs ?? mostParked, maxInFlight, concurrency)
  return Math.max(leastParked, Math.min(most, room.threads * room.concurrency * 4))
}
