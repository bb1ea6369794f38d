import type { Clock, SharedEntry, SharedState } from '#src/engine/ports.js'

/** The control bucket in memory; several supervisors may share one. */
export class FakeSharedState implements SharedState {
  readonly entries = new Map<string, SharedEntry>()
  /** What was asked, one line each. */
  readonly calls: string[] = []
  /** When set, nothing can be reached. */
  error: Error | undefined
  /** How long the broker takes for a write, half of it on the way there. */
  writeMs = 0
  /** The broker's clock less ours. */
  readonly aheadMs: number
  readonly #clock: Clock
  #revision = 0

  constructor(clock: Clock, aheadMs = 0) {
    this.#clock = clock
    this.aheadMs = aheadMs
  }

  take(): string[] {
    return this.calls.splice(0)
  }

  async read(key: string): Promise<SharedEntry> {
    this.calls.push(`read ${key}`)
    if (this.error) throw this.error
    return this.entries.get(key) ?? { value: undefined, revision: 0, writtenAt: 0 }
  }

  async write(key: string, value: string, revision: number): Promise<number | undefined> {
    this.calls.push(`write ${key}`)
    await this.#onTheWay()
    if (this.error) throw this.error
    if ((this.entries.get(key)?.revision ?? 0) !== revision) return undefined
    const stored = this.#store(key, value)
    await this.#onTheWay()
    return stored
  }

  async set(key: string, value: string): Promise<void> {
    if (this.error) throw this.error
    this.#store(key, value)
  }

  async remove(key: string): Promise<void> {
    if (this.error) throw this.error
    this.#store(key, undefined)
  }

  watch(): () => void {
    return () => {}
  }

  #store(key: string, value: string | undefined): number {
    this.#revision += 1
    this.entries.set(key, { value, revision: this.#revision, writtenAt: this.#clock.now() + this.aheadMs })
    return this.#revision
  }

  #onTheWay(): Promise<void> {
    if (this.writeMs === 0) return Promise.resolve()
    return new Promise((resolve) => this.#clock.after(this.writeMs / 2, resolve))
  }
}
