import type { PoolName } from '../core/handler-definition.ts'
import type { Priority } from '../core/names.ts'
import type { Broker } from './broker-port.ts'
import type { Clock } from './clock-port.ts'
import { Dispatcher } from './dispatcher.ts'
import type { HandlerState } from './handler-state.ts'
import type { InFlightJob } from './in-flight-job.ts'
import type { Lane } from './lanes-port.ts'
import { PullLoop, type Room } from './pull-loop.ts'

export interface PoolsParts {
  readonly broker: Broker
  readonly clock: Clock
  readonly handlers: readonly HandlerState[]
  readonly rooms: ReadonlyMap<PoolName, Room>
  held(): number
  parkRoom(handler: HandlerState): number
  posted(jobs: readonly InFlightJob[]): void
  takenBack(jobs: readonly InFlightJob[]): void
}

/** What each pool has: a loop that pulls the jobs of its handlers, and a dispatcher that brings them to its threads. */
export class Pools {
  readonly dispatchers = new Map<PoolName, Dispatcher>()
  readonly #pulls = new Map<PoolName, PullLoop>()
  #started = false

  constructor(parts: PoolsParts) {
    const { broker, clock } = parts
    for (const [pool, room] of parts.rooms) {
      const handlers = parts.handlers.filter((handler) => handler.profile.pool === pool)
      const pulls = new PullLoop({
        broker,
        clock,
        handlers,
        room,
        held: () => parts.held(),
        parkRoom: (handler) => parts.parkRoom(handler),
      })
      this.#pulls.set(pool, pulls)
      const dispatcher = new Dispatcher(pool, clock, {
        posted: (jobs) => parts.posted(jobs),
        takenBack: (jobs) => parts.takenBack(jobs),
        expectedAbove: (priority: Priority) => pulls.expectedAbove(priority),
      })
      this.dispatchers.set(pool, dispatcher)
    }
  }

  /** The threads of every pool. */
  *lanes(): Generator<Lane> {
    for (const dispatcher of this.dispatchers.values()) yield* dispatcher.lanes
  }

  dispatcherOf({ handler }: { readonly handler: HandlerState }): Dispatcher {
    return this.dispatchers.get(handler.profile.pool)!
  }

  /** A handler may have room for more, or more to come: looks whether to pull. */
  roomChanged(handler: HandlerState): void {
    this.#pulls.get(handler.profile.pool)!.schedule()
  }

  /** From now on it may be pulled: it is known what is paused. */
  start(): void {
    this.#started = true
  }

  pullAll(): void {
    if (!this.#started) return
    for (const pulls of this.#pulls.values()) pulls.schedule()
  }

  stopPulling(): void {
    for (const pulls of this.#pulls.values()) pulls.stop()
  }

  add(lane: Lane): void {
    const dispatcher = this.dispatchers.get(lane.pool)!
    dispatcher.lanes.push(lane)
    dispatcher.schedule()
  }

  remove(lane: Lane): void {
    const { lanes } = this.dispatchers.get(lane.pool)!
    const at = lanes.indexOf(lane)
    if (at >= 0) lanes.splice(at, 1)
  }
}
