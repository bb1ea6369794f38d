import type { Clock } from '#src/engine/clock-port.js'

interface Timer {
  readonly at: number
  readonly owner: Timers
  readonly callback: () => void
}

/** The one time of a model: it passes only when the explorer lets it, timer by timer. */
export class ModelClock {
  nowMs = 0
  #timers: Timer[] = []

  /** What a process sees of it. Its timers end with the process. */
  forProcess(): Timers {
    return new Timers(this)
  }

  set(at: number, owner: Timers, callback: () => void): () => void {
    const timer = { at, owner, callback }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  end(owner: Timers): void {
    this.#timers = this.#timers.filter((timer) => timer.owner !== owner)
  }

  /** When the next timer of a process that is not frozen fires. */
  get nextAt(): number {
    return this.#next()?.at ?? Number.POSITIVE_INFINITY
  }

  /** Fires the next timer that is due. */
  fire(): void {
    const next = this.#next()!
    this.#timers = this.#timers.filter((timer) => timer !== next)
    next.callback()
  }

  #next(): Timer | undefined {
    let next: Timer | undefined
    for (const timer of this.#timers) {
      if (!timer.owner.frozen && (!next || timer.at < next.at)) next = timer
    }
    return next
  }
}

/** The clock and the timers of one process. */
export class Timers implements Clock {
  /** The process stands still: its timers wait, whatever the time. */
  frozen = false
  readonly #clock: ModelClock

  constructor(clock: ModelClock) {
    this.#clock = clock
  }

  now(): number {
    return Date.UTC(2026, 0, 1) + this.#clock.nowMs
  }

  monotonicMs(): number {
    return this.#clock.nowMs
  }

  after(delayMs: number, callback: () => void): () => void {
    return this.#clock.set(this.#clock.nowMs + delayMs, this, callback)
  }
}
