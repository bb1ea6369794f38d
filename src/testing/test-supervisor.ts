import { MillraceError } from '../core/errors.ts'
import { settled } from './manual-clock.ts'
import { TestProcess, type TestProcessParts } from './test-process.ts'

/**
 * A supervisor in this thread, on the store in memory and a clock that stands still.
 *
 * 1. It does nothing outside of `pass` and `drain`, except that a handler which still runs goes on.
 * 2. At each instant everything happens that can, and what runs is waited for in real time; then the clock moves to
 *    the next timer.
 * 3. When it crashes, another process takes its place and finds what the first has left at the broker.
 */
export class TestSupervisor {
  readonly #parts: TestProcessParts
  readonly #patienceMs: number
  #process: TestProcess
  #processes = 1
  #busy = false
  /** Set while a crash is wanted that has to wait for a moment in which nothing happens. */
  #crashing = false
  #crashAsked = (): void => {}

  constructor(parts: TestProcessParts, patienceMs: number) {
    this.#parts = parts
    this.#patienceMs = patienceMs
    this.#process = this.#spawn()
  }

  /** Lets time pass. */
  pass(durationMs: number): Promise<void> {
    return this.#drive(() => this.#parts.clock.pass(durationMs, () => this.#calm()))
  }

  /**
   * Moves the clock until no job is left that could run.
   *
   * @throws {MillraceError} `drain_unfinished` when there still is one after `limitMs`, or after so many attempts.
   */
  drain(limitMs: number, mostAttempts: number): Promise<void> {
    const { clock, observer } = this.#parts
    return this.#drive(async () => {
      const end = clock.monotonicMs() + limitMs
      const most = observer.attempts.length + mostAttempts
      await this.#calm()
      while (this.#hasWork) {
        if (clock.nextAt > end) throw unfinished(`${limitMs} ms of the queue's time`)
        if (observer.attempts.length > most) throw unfinished(`${mostAttempts} attempts`)
        clock.fire()
        await this.#calm()
      }
    })
  }

  /**
   * The process dies with what it runs. Asked for by a handler, it does once everything else has happened that can at
   * this instant, and the promise never resolves: nothing of the handler is to go on.
   */
  crash(): Promise<void> {
    if (this.#busy) {
      this.#crashing = true
      this.#crashAsked()
      return new Promise(() => {})
    }
    this.#replace()
    return Promise.resolve()
  }

  /** A job is held here, or waits for a handler that is here and not paused. */
  get #hasWork(): boolean {
    const { engine } = this.#process
    if (engine.inFlight.size > 0) return true
    const able = new Set(engine.handlers.filter(({ paused }) => !paused).map(({ profile }) => profile.name))
    for (const [handler] of this.#parts.store.unsettled()) if (able.has(handler)) return true
    return false
  }

  async #drive(work: () => Promise<void>): Promise<void> {
    if (this.#busy) {
      throw new MillraceError(
        'drain_unfinished',
        'the queue is being advanced or drained already; await that before, and not in a handler',
      )
    }
    this.#busy = true
    this.#process.link.running = true
    try {
      await this.#process.start()
      await work()
    } finally {
      this.#process.link.running = false
      this.#busy = false
    }
  }

  /** Resolves when everything has happened that can at this instant, and nobody is waited for in real time. */
  async #calm(): Promise<void> {
    for (;;) {
      const before = this.#activity
      await settled()
      if (this.#activity !== before) continue
      if (this.#crashing) {
        this.#crashing = false
        this.#replace()
        this.#process.link.running = true
        await this.#process.start()
        continue
      }
      const crashAsked = new Promise<true>((resolve) => {
        this.#crashAsked = () => resolve(true)
      })
      if (!(await this.#process.pool.someEnd(this.#patienceMs, crashAsked))) return
    }
  }

  #replace(): void {
    this.#process.end()
    this.#processes += 1
    this.#process = this.#spawn()
  }

  #spawn(): TestProcess {
    return new TestProcess(`test-${this.#processes}`, this.#parts)
  }

  get #activity(): number {
    return this.#process.pool.activity + this.#parts.store.activity
  }
}

function unfinished(after: string): MillraceError {
  return new MillraceError(
    'drain_unfinished',
    `jobs were still waiting or running after ${after}: a handler snoozes or enqueues without an end, or a job is due later; use advance(ms), or give drain() a higher limit`,
  )
}
