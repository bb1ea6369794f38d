import { type Priority, priorities } from '../core/names.ts'
import type { Broker } from './broker-port.ts'
import type { Clock } from './clock-port.ts'
import { movingLimit } from './delayer.ts'
import { aheadOf } from './dispatcher.ts'
import type { HandlerState } from './handler-state.ts'
import type { JobSource } from './job-source.ts'

/** So many deliveries in flight (dead letters that cannot be stored, mostly) and nothing more is pulled. */
const heldLimit = 10_000
const heldAgainMs = 1_000
/** Room that is less than a quarter is asked for when nothing has arrived for so long. */
const quarterMs = 10
/** Few, because the first that is to run may be followed by so many that then have to wait here. */
const movedAhead = 16

/** The threads of a pool, as far as pulling cares. */
export interface Room {
  readonly threads: number
  /** Jobs at once on each thread. */
  readonly concurrency: number
}

export interface PullParts extends PullHooks {
  readonly broker: Broker
  readonly clock: Clock
  /** Of one pool. */
  readonly handlers: readonly HandlerState[]
  readonly room: Room
}

/** What pulling has to know of the rest. */
interface PullHooks {
  /** Every delivery in flight, of all pools, whether it takes up room or not. */
  held(): number
  /** How many jobs of a handler may arrive before too many of them wait at a gate. */
  parkRoom(handler: HandlerState): number
}

/**
 * Asks the broker for jobs: no more than there is room for.
 *
 * 1. A handler's room is what the threads of its pool run at once, plus what may be posted ahead at
 *    its measured run time; the active handlers of a pool share it evenly.
 * 2. A source without work keeps one pull of one job open, so that its first job starts at once.
 * 3. Room is asked for in quarters: fewer, larger pulls cost the server less. A smaller rest is asked for
 *    after a moment, because a quarter may not come free while long jobs hold the others.
 * 4. A broker that is behind with what was done is asked for nothing until it has caught up.
 * 5. The priorities of a handler are sources of their own. What is held of a lower one never keeps a higher
 *    one waiting; what is held of a higher one takes the room of a lower one, down to what that needs at hand
 *    for its minimum share; low jobs get no more than that while normal ones wait at the broker.
 */
export class PullLoop {
  readonly #broker: Broker
  readonly #clock: Clock
  readonly #handlers: readonly HandlerState[]
  readonly #room: Room
  readonly #hooks: PullHooks
  #scheduled = false
  #stopped = false
  /** On the monotonic clock; when to look again, for a resting handler or a small rest of room. */
  #wakeAt = Number.POSITIVE_INFINITY
  #cancelWake: (() => void) | undefined

  constructor(parts: PullParts) {
    this.#broker = parts.broker
    this.#clock = parts.clock
    this.#handlers = parts.handlers
    this.#room = parts.room
    this.#hooks = parts
  }

  /** Looks at the end of the current synchronous work whether something is to be pulled. */
  schedule(): void {
    if (this.#scheduled || this.#stopped) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#pull()
    })
  }

  /** Pulls nothing more; what was asked for still arrives until it expires. */
  stop(): void {
    this.#stopped = true
    this.#cancelWake?.()
  }

  /** How many jobs of a higher priority than this one are on their way, of all handlers. */
  expectedAbove(priority: Priority): number {
    if (!this.#broker.connected) return 0
    let expected = 0
    const now = this.#clock.monotonicMs()
    for (const { sources } of this.#handlers) {
      if (sources.high.bound) expected += sources.high.expected(now)
      if (priority === 'low') expected += sources.normal.expected(now)
    }
    return expected
  }

  #pull(): void {
    if (this.#stopped || !this.#broker.connected) return
    const now = this.#clock.monotonicMs()
    for (const { sources } of this.#handlers) for (const priority of priorities) sources[priority].target = 0
    if (this.#hooks.held() >= heldLimit) {
      this.#wake(now + heldAgainMs, now)
      return
    }
    const active = this.#countActive(now)
    for (const handler of this.#handlers) {
      const { high, normal, low } = handler.sources
      if (handler.withdrawn || handler.undecided || handler.halted) continue
      if (handler.moving >= movingLimit || this.#hooks.parkRoom(handler) <= 0) continue
      if (handler.restsUntil > now) {
        this.#wake(handler.restsUntil, now)
        continue
      }
      if (high.bound) this.#pullFrom(high, this.#share(handler, active.high), now)
      const share = this.#share(handler, active.normal)
      this.#pullFrom(normal, left(share, high.held, atHand(handler, share / 5)), now)
      if (low.bound) this.#pullFrom(low, this.#lowTarget(handler, this.#share(handler, active.low), now), now)
    }
  }

  /** How many handlers have jobs of these priorities, or of a higher one: these share the room. */
  #countActive(now: number): Record<Priority, number> {
    const active = { high: 0, normal: 0, low: 0 }
    for (const { sources } of this.#handlers) {
      const high = sources.high.bound && sources.high.isActive(now)
      const normal = high || sources.normal.isActive(now)
      if (high) active.high += 1
      if (normal) active.normal += 1
      if (normal || (sources.low.bound && sources.low.isActive(now))) active.low += 1
    }
    return active
  }

  /** All the room that is left when nothing else of the handler waits, else what its minimum share needs. */
  #lowTarget(handler: HandlerState, share: number, now: number): number {
    const { high, normal } = handler.sources
    const least = atHand(handler, share / 10)
    const brings = (source: JobSource): boolean => !source.isEmpty(now) && !this.#isBehind(source)
    if (!brings(high) && !brings(normal)) return left(share, high.held + normal.held, least)
    const emptyAt = Math.max(...[high, normal].filter(brings).map((source) => source.emptyAt))
    if (emptyAt < Number.POSITIVE_INFINITY) this.#wake(emptyAt, now)
    return least
  }

  #isBehind({ handler, priority }: JobSource): boolean {
    return this.#broker.isBehind(handler.profile.name, priority)
  }

  #pullFrom(source: JobSource, target: number, now: number): void {
    if (this.#isBehind(source)) {
      // No more is expected of it than was asked for.
      source.target = Math.min(target, source.held + source.credit)
      return
    }
    source.target = target
    const outstanding = source.held + source.credit
    if (!source.isActive(now)) {
      if (outstanding === 0 && target > 0) this.#ask(source, 1, now)
      return
    }
    const parkRoom = this.#hooks.parkRoom(source.handler)
    const missing = Math.min(target - outstanding, parkRoom - source.handler.credit)
    if (missing >= Math.max(1, Math.min(target, parkRoom) >> 2)) this.#ask(source, missing, now)
    else if (missing > 0 && source.credit === 0) {
      const askAt = source.lastArrivalAt + quarterMs
      if (now >= askAt) this.#ask(source, missing, now)
      else this.#wake(askAt, now)
    }
  }

  /** Looks again then; one timer serves all, because every look comes through here. */
  #wake(at: number, now: number): void {
    if (at >= this.#wakeAt) return
    this.#wakeAt = at
    this.#cancelWake?.()
    this.#cancelWake = this.#clock.after(at - now, () => {
      this.#wakeAt = Number.POSITIVE_INFINITY
      this.schedule()
    })
  }

  #share(handler: HandlerState, active: number): number {
    const places = handler.profile.concurrency - handler.stuck
    if (places <= 0) return 0
    // After a series of crashes one job at a time has to show that it works again.
    if (handler.onProbation) return 1
    const { threads, concurrency } = this.#room
    const room = threads * (concurrency + aheadOf(handler.averageMs, concurrency))
    const share = Math.max(1, Math.floor(room / Math.max(1, active)))
    // While all that arrives is put aside for later, more may come at once: it takes up no room.
    return Math.min(share, places) + Math.min(handler.movedInARow, movedAhead)
  }

  #ask(source: JobSource, count: number, now: number): void {
    source.asked(count, now)
    this.#broker.pull(source.handler.profile.name, source.priority, count)
  }
}

/** The room that higher priorities leave, and not less than `least` when they take any. */
function left(room: number, taken: number, least: number): number {
  return taken === 0 ? room : Math.max(least, room - taken)
}

/**
 * What a lower priority needs for its minimum share: so much of the room may be on threads, and one more
 * waits to be next. A handler on probation holds one job in all.
 */
function atHand(handler: HandlerState, ofTheRoom: number): number {
  return handler.onProbation ? 0 : Math.ceil(ofTheRoom) + 1
}
