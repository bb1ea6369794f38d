import type { Priority } from '../core/names.ts'
import type { HandlerProfile } from './handler-profile.ts'
import { JobSource } from './job-source.ts'

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
  /** Where its jobs come from. */
  readonly sources: Readonly<Record<Priority, JobSource>>
  /** Deliveries that are posted to a thread. */
  posted = 0
  /** Of these, jobs whose thread does not end although it was told to. */
  stuck = 0
  /** Deliveries that wait at a gate and take up no room. */
  parked = 0
  /** On their way to the delayed stream; they take up no room either. */
  moving = 0
  /** The last so many that arrived went there, and none was to run. */
  movedInARow = 0
  /** Measured run time of an attempt; undefined before the first. */
  averageMs: number | undefined
  /** Attempts in a row that ended their thread. */
  crashesInARow = 0
  /** Not pulled any more: a thread could not load it. */
  withdrawn = false
  /** Its pool has had no thread for so long that its jobs go to other supervisors. */
  threadless = false
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
    this.sources = {
      high: new JobSource(this, 'high'),
      normal: new JobSource(this, 'normal'),
      low: new JobSource(this, 'low'),
    }
  }

  /** Deliveries that take up room: not yet ended. */
  get held(): number {
    const { high, normal, low } = this.sources
    return high.held + normal.held + low.held
  }

  /** Asked for and not yet arrived. */
  get credit(): number {
    const { high, normal, low } = this.sources
    return high.credit + normal.credit + low.credit
  }

  /** Nothing of it is pulled or begun here for now; what runs goes on. */
  get halted(): boolean {
    return this.paused || this.standby || this.threadless
  }

  /** No thread here can run it; one of another supervisor may. */
  get unable(): boolean {
    return this.withdrawn || this.threadless
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
