import type { Clock } from '#src/engine/clock-port.js'
import type { SharedEntry, SharedState } from '#src/engine/shared-state-port.js'
import { MemorySharedState } from '#src/testing/memory-shared-state.js'

/** A control bucket that notes what it is asked, and can be made to fail, to wait and to take its time. */
export class FakeSharedState extends MemorySharedState {
  /** What was asked, one line each. */
  readonly calls: string[] = []
  /** When set, nothing can be written or read. */
  error: Error | undefined
  /** When set, requests wait until the test lets them through. */
  gate: { enter(): Promise<void> } | undefined
  /** How long the broker takes for a write, half of it on the way there. */
  writeMs = 0
  /** The broker's clock less ours. */
  readonly aheadMs: number
  /** While it is true no watch says that its listing is complete. */
  holdsListing = false
  readonly #clock: Clock | undefined

  constructor(clock?: Clock, aheadMs = 0) {
    super(clock)
    this.#clock = clock
    this.aheadMs = aheadMs
  }

  take(): string[] {
    return this.calls.splice(0)
  }

  override async read(key: string): Promise<SharedEntry> {
    await this.gate?.enter()
    this.#note(`read ${key}`)
    return super.read(key)
  }

  override async write(key: string, value: string, revision: number): Promise<number | undefined> {
    await this.gate?.enter()
    this.calls.push(`write ${key}`)
    await this.#onTheWay()
    if (this.error) throw this.error
    const stored = await super.write(key, value, revision)
    if (stored !== undefined) await this.#onTheWay()
    return stored
  }

  override async set(key: string, value: string): Promise<void> {
    this.#note(`set ${key}`)
    this.put(key, value)
  }

  override async remove(key: string): Promise<void> {
    this.#note(`remove ${key}`)
    this.delete(key)
  }

  override watch(
    prefix: string,
    changed: Parameters<SharedState['watch']>[1],
    listed: () => void = () => {},
  ): () => void {
    return super.watch(prefix, changed, () => {
      if (!this.holdsListing) listed()
    })
  }

  protected override now(): number {
    return super.now() + this.aheadMs
  }

  #note(call: string): void {
    this.calls.push(call)
    if (this.error) throw this.error
  }

  #onTheWay(): Promise<void> {
    if (this.writeMs === 0) return Promise.resolve()
    return new Promise((resolve) => this.#clock!.after(this.writeMs / 2, resolve))
  }
}
