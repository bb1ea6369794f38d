import { cancelledJobId, controlPrefixes } from '../core/control-keys.ts'
import type { Clock } from './clock-port.ts'
import type { InFlightJob } from './in-flight-job.ts'
import type { SharedState } from './shared-state-port.ts'

/** A cancel whose job has not shown up for so long is dropped. */
const maxAgeMs = 60 * 24 * 3_600_000
const sweepMs = 3_600_000
/** Pause before an entry is removed again that could not be removed. */
const againMs = 5_000

/**
 * The jobs that somebody cancelled and nobody has settled yet, as the entries `cancelled.<job id>` say.
 *
 * Every supervisor remembers all of them, and whoever holds the job acts. Whoever settles it removes the
 * entry, so that a replay of its dead letter can run.
 */
export class Cancels {
  readonly #shared: SharedState
  readonly #clock: Clock
  readonly #ids = new Map<string, string>()
  readonly #entries = new Map<string, { readonly key: string; readonly storedAt: number }>()
  readonly #timers = new Set<() => void>()
  #endWatch: (() => void) | undefined
  #stopped = false

  constructor(shared: SharedState, clock: Clock) {
    this.#shared = shared
    this.#clock = clock
  }

  /** @param listed - every entry is known. */
  start(cancelled: (jobId: string) => void, listed: () => void): void {
    const changed = (key: string, value: string | undefined, storedAt: number): void => {
      if (value === undefined) {
        this.#forget(this.#ids.get(key))
        return
      }
      const id = cancelledJobId(key, value)
      this.#ids.set(key, id)
      this.#entries.set(id, { key, storedAt })
      cancelled(id)
    }
    this.#endWatch = this.#shared.watch(controlPrefixes.cancelled, changed, listed)
    this.#after(sweepMs, () => this.#dropOld())
  }

  stop(): void {
    this.#stopped = true
    this.#endWatch?.()
    for (const cancel of this.#timers) cancel()
  }

  has(job: InFlightJob): boolean {
    return this.#entries.size > 0 && this.#entries.has(job.jobId)
  }

  /**
   * A job is settled, or its record says how it will be: its entry, if there is one, has done its work. Never
   * rejects; without an entry, which is told of every job, there is nothing to wait for.
   */
  settled(job: InFlightJob): Promise<void> | undefined {
    const entry = this.#entries.size > 0 ? this.#entries.get(job.jobId) : undefined
    if (!entry) return undefined
    this.#forget(job.jobId)
    return this.#remove(entry.key)
  }

  #forget(id: string | undefined): void {
    const entry = id === undefined ? undefined : this.#entries.get(id)
    if (!entry) return
    this.#entries.delete(id!)
    this.#ids.delete(entry.key)
  }

  async #remove(key: string): Promise<void> {
    try {
      await this.#shared.remove(key)
    } catch {
      if (this.#stopped) return
      this.#after(againMs, () => {
        // Unless somebody has cancelled a job of this id once more.
        if (!this.#ids.has(key)) void this.#remove(key)
      })
    }
  }

  #dropOld(): void {
    const oldest = this.#clock.now() - maxAgeMs
    for (const [id, { key, storedAt }] of this.#entries) {
      if (storedAt >= oldest) continue
      this.#forget(id)
      void this.#remove(key)
    }
    this.#after(sweepMs, () => this.#dropOld())
  }

  #after(delayMs: number, callback: () => void): void {
    const cancel = this.#clock.after(delayMs, () => {
      this.#timers.delete(cancel)
      callback()
    })
    this.#timers.add(cancel)
  }
}
