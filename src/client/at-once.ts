/**
 * Carries out tasks, a bounded number of them at once, in the order in which they come. The first one that fails
 * is the last: those under way are waited for, and no other one begins.
 */
export class AtOnce {
  readonly #limit: number
  readonly #underWay = new Set<Promise<void>>()
  #failure: { readonly error: unknown } | undefined

  constructor(limit: number) {
    this.#limit = limit
  }

  /** Begins a task as soon as there is room. Rejects with the error of an earlier one. */
  async add(task: () => Promise<void>): Promise<void> {
    while (this.#underWay.size >= this.#limit && !this.#failure) await Promise.race(this.#underWay)
    if (this.#failure) await this.ended()
    const running: Promise<void> = task()
      .catch((error: unknown) => {
        this.#failure ??= { error }
      })
      .finally(() => this.#underWay.delete(running))
    this.#underWay.add(running)
  }

  /** Resolves when every task has come to its end; rejects with the first error. */
  async ended(): Promise<void> {
    await Promise.all(this.#underWay)
    if (this.#failure) throw this.#failure.error
  }
}

/** Lets so many pass in a second, evenly. */
export class Pace {
  readonly #intervalMs: number
  #nextAt = 0

  constructor(perSecond: number) {
    this.#intervalMs = 1_000 / perSecond
  }

  async turn(): Promise<void> {
    const now = performance.now()
    const at = Math.max(now, this.#nextAt)
    this.#nextAt = at + this.#intervalMs
    if (at > now) await new Promise((resolve) => setTimeout(resolve, at - now))
  }
}
