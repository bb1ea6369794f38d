const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
/** npm hands a terminal's signal on, so that one Ctrl-C arrives twice. */
const sameMs = 300

/** Counts how often somebody has said stop. */
export class StopSignals {
  /** Resolves with the first. */
  readonly first: Promise<void>
  count = 0
  /** Hears of each one. */
  onNext: () => void = () => {}
  #lastAt = Number.NEGATIVE_INFINITY
  #isFirst: () => void = () => {}
  readonly #listen = (): void => {
    const now = performance.now()
    if (now - this.#lastAt < sameMs) return
    this.#lastAt = now
    this.count += 1
    this.#isFirst()
    this.onNext()
  }

  constructor() {
    this.first = new Promise((resolve) => {
      this.#isFirst = resolve
    })
    for (const name of names) process.on(name, this.#listen)
  }

  close(): void {
    for (const name of names) process.off(name, this.#listen)
  }
}
