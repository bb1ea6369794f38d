import type { HandlerProfile } from './ports.ts'

/** How many results the average of a handler's run time remembers, roughly. */
const memory = 16

/** So many crashed attempts in a row, and the handler is slowed down instead of burning through its queue. */
const crashLimit = 20
const firstPauseMs = 1_000
const longestPauseMs = 30_000

/** What the engine keeps of a handler while it works. */
export class HandlerState {
  readonly profile: HandlerProfile
  /** The number that threads know it by. */
  readonly index: number
  /** Deliveries that take up room: not yet ended. */
  held = 0
  /** Of those, posted to a thread. */
  posted = 0
  /** Deliveries that wait at a gate and take up no room. */
  parked = 0
  /** With so many parked, nothing more is pulled. */
  parkLimit = Number.POSITIVE_INFINITY
  /** Asked for and not yet arrived. */
  credit = 0
  /** On the monotonic clock; when something last arrived. */
  lastArrivalAt = Number.NEGATIVE_INFINITY
  /** Measured run time of an attempt; undefined before the first. */
  averageMs: number | undefined
  /** Attempts in a row that ended their thread. */
  crashesInARow = 0
  /** Not pulled any more: a thread could not load it. */
  withdrawn = false
  /** Not pulled until then, on the monotonic clock: its threads crashed over and over. */
  restsUntil = Number.NEGATIVE_INFINITY
  /** An operator has paused it on every supervisor. */
  paused = false
  /** It is not known yet whether its jobs have keys and another supervisor takes them: nothing is pulled. */
  undecided = false
  /** Its jobs have keys, and another supervisor takes them. */
  standby = false

  constructor(profile: HandlerProfile, index: number) {
    this.profile = profile
    this.index = index
  }

  /** Nothing of it is pulled or begun here for now; what runs goes on. */
  get halted(): boolean {
    return this.paused || this.standby
  }

  /** Its threads crashed over and over: it gets one job at a time until one does not. */
  get onProbation(): boolean {
    return this.crashesInARow >= crashLimit
  }

  /** One more attempt ended its thread; returns for how long the handler is to rest, or 0. */
  crashed(now: number): number {
    this.crashesInARow += 1
    if (!this.onProbation) return 0
    const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** (this.crashesInARow - crashLimit))
    this.restsUntil = now + pauseMs
    return pauseMs
  }

  /** Learns from one more run. Longer ones count at once: guessing too short would pile up work. */
  measured(durationMs: number): void {
    if (this.averageMs === undefined || durationMs > this.averageMs * 4) this.averageMs = durationMs
    else this.averageMs += (durationMs - this.averageMs) / memory
  }
}
