import type { Clock } from '../engine/clock-port.ts'
import type { SharedEntry, SharedState } from '../engine/shared-state-port.ts'

/** A clock as a process has it: its timers end with it. */
export class MortalClock implements Clock {
  readonly #clock: Clock
  readonly #cancels = new Set<() => void>()
  #ended = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  now(): number {
    return this.#clock.now()
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs()
  }

  after(delayMs: number, callback: () => void): () => void {
    if (this.#ended) return () => {}
    const cancel = this.#clock.after(delayMs, () => {
      this.#cancels.delete(cancel)
      callback()
    })
    this.#cancels.add(cancel)
    return () => {
      this.#cancels.delete(cancel)
      cancel()
    }
  }

  /** The process is gone. */
  end(): void {
    this.#ended = true
    for (const cancel of this.#cancels) cancel()
    this.#cancels.clear()
  }
}

/** The shared state as a process sees it: what it asks once it is gone is never answered, and its watches end. */
export class MortalSharedState implements SharedState {
  readonly #state: SharedState
  readonly #endWatches = new Set<() => void>()
  #ended = false

  constructor(state: SharedState) {
    this.#state = state
  }

  read(key: string): Promise<SharedEntry> {
    return this.#ask(() => this.#state.read(key))
  }

  write(key: string, value: string, revision: number): Promise<number | undefined> {
    return this.#ask(() => this.#state.write(key, value, revision))
  }

  set(key: string, value: string): Promise<void> {
    return this.#ask(() => this.#state.set(key, value))
  }

  remove(key: string): Promise<void> {
    return this.#ask(() => this.#state.remove(key))
  }

  watch(prefix: string, changed: Parameters<SharedState['watch']>[1], listed?: () => void): () => void {
    const end = this.#state.watch(prefix, changed, listed)
    this.#endWatches.add(end)
    return end
  }

  /** The process is gone. */
  end(): void {
    this.#ended = true
    for (const end of this.#endWatches) end()
  }

  #ask<T>(request: () => Promise<T>): Promise<T> {
    return this.#ended ? new Promise<never>(() => {}) : request()
  }
}
