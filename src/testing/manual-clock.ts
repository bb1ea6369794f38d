import { setImmediate as immediate } from 'node:timers/promises'
import type { Clock } from '../engine/clock-port.ts'

/** Lets everything go on that waits for nothing but promises and the end of the turn. */
export async function settled(): Promise<void> {
  // What is put off to the end of the turn may put off more.
  for (let turns = 0; turns < 3; turns += 1) await immediate()
}

/** Time that stands still until a test lets it pass. */
export class ManualClock implements Clock {
  #epochMs: number
  #monotonicMs = 0
  #timers: { at: number; callback: () => void }[] = []

  /** @param epochMs - the date at monotonic instant 0; the two differ so that a mix-up shows. */
  constructor(epochMs = Date.UTC(2026, 0, 1)) {
    this.#epochMs = epochMs
  }

  now(): number {
    return this.#epochMs + this.#monotonicMs
  }

  monotonicMs(): number {
    return this.#monotonicMs
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { at: this.#monotonicMs + delayMs, callback }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  /** Somebody sets the clock; what never steps goes on. */
  step(byMs: number): void {
    this.#epochMs += byMs
  }

  /** The process stands still: time passes, and no timer fires. */
  holdUp(durationMs: number): void {
    this.#monotonicMs += durationMs
  }

  /** How many timers are set. */
  get timers(): number {
    return this.#timers.length
  }

  /** When the next timer fires, on the monotonic clock; infinite when none is set. */
  get nextAt(): number {
    return this.#next()?.at ?? Number.POSITIVE_INFINITY
  }

  /** Moves to the next timer and fires it. */
  fire(): void {
    const next = this.#next()
    if (!next) return
    this.#timers = this.#timers.filter((timer) => timer !== next)
    this.#monotonicMs = Math.max(this.#monotonicMs, next.at)
    next.callback()
  }

  /**
   * Lets `durationMs` pass: each timer in its turn, with what it leads to.
   *
   * @param calm - resolves when everything has happened that can happen at this instant.
   */
  async pass(durationMs: number, calm: () => Promise<void> = settled): Promise<void> {
    const end = this.#monotonicMs + durationMs
    await calm()
    while (this.nextAt <= end) {
      this.fire()
      await calm()
    }
    this.#monotonicMs = Math.max(this.#monotonicMs, end)
  }

  #next(): { at: number; callback: () => void } | undefined {
    let next: { at: number; callback: () => void } | undefined
    for (const timer of this.#timers) if (!next || timer.at < next.at) next = timer
    return next
  }
}
