import { aheadOf } from './dispatcher.ts'
import type { HandlerState } from './handler-state.ts'
import type { Broker, Clock } from './ports.ts'

/** A handler counts as active this long after its last job arrived. */
const activeMs = 1_000
/** So many deliveries in flight (dead letters that cannot be stored, mostly) and nothing more is pulled. */
const heldLimit = 10_000
const heldAgainMs = 1_000
/** Room that is less than a quarter is asked for when nothing has arrived for so long. */
const quarterMs = 10

/** The threads of a pool, as far as pulling cares. */
export interface Room {
  readonly threads: number
  /** Jobs at once on each thread. */
  readonly concurrency: number
}

/**
 * Asks the broker for jobs: no more than there is room for.
 *
 * 1. A handler's room is what the threads of its pool run at once, plus what may be posted ahead at
 *    its measured run time; the active handlers of a pool share it evenly.
 * 2. A handler without work keeps one pull of one job open, so that its first job starts at once.
 * 3. Room is asked for in quarters: fewer, larger pulls cost the server less. A smaller rest is asked for
 *    after a moment, because a quarter may not come free while long jobs hold the others.
 */
export class PullLoop {
  readonly #broker: Broker
  readonly #clock: Clock
  readonly #handlers: readonly HandlerState[]
  readonly #room: Room
  readonly #held: () => number
  #scheduled = false
  #stopped = false
  /** On the monotonic clock; when to look again, for a resting handler or a small rest of room. */
  #wakeAt = Number.POSITIVE_INFINITY
  #cancelWake: (() => void) | undefined

  /** `held` counts every delivery in flight, of all pools, whether it takes up room or not. */
  constructor(
    broker: Broker,
    clock: Clock,
    handlers: readonly HandlerState[],
    room: Room,
    held: () => number,
  ) {
    this.#broker = broker
    this.#clock = clock
    this.#handlers = handlers
    this.#room = room
    this.#held = held
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

  #pull(): void {
    if (this.#stopped || !this.#broker.connected) return
    const now = this.#clock.monotonicMs()
    if (this.#held() >= heldLimit) {
      this.#wake(now + heldAgainMs, now)
      return
    }
    let active = 0
    for (const handler of this.#handlers) if (isActive(handler, now)) active += 1
    for (const handler of this.#handlers) {
      if (handler.withdrawn || handler.undecided || handler.halted || handler.parked >= handler.parkLimit)
        continue
      if (handler.restsUntil > now) {
        this.#wake(handler.restsUntil, now)
        continue
      }
      const outstanding = handler.held + handler.credit
      if (!isActive(handler, now)) {
        if (outstanding === 0) this.#ask(handler, 1)
        continue
      }
      const share = this.#share(handler, active)
      const missing = share - outstanding
      if (missing >= Math.max(1, share >> 2)) this.#ask(handler, missing)
      else if (missing > 0 && handler.credit === 0) {
        const askAt = handler.lastArrivalAt + quarterMs
        if (now >= askAt) this.#ask(handler, missing)
        else this.#wake(askAt, now)
      }
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
    // After a series of crashes one job at a time has to show that it works again.
    if (handler.onProbation) return 1
    const { threads, concurrency } = this.#room
    const room = threads * (concurrency + aheadOf(handler.averageMs, concurrency))
    const share = Math.max(1, Math.floor(room / Math.max(1, active)))
    return Math.min(share, handler.profile.concurrency)
  }

  #ask(handler: HandlerState, count: number): void {
    handler.credit += count
    this.#broker.pull(handler.profile.name, count)
  }
}

function isActive(handler: HandlerState, now: number): boolean {
  return handler.held > 0 || now - handler.lastArrivalAt < activeMs
}
