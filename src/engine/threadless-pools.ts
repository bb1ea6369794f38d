import type { PoolName } from '../core/handler-definition.ts'
import type { Clock } from './clock-port.ts'
import type { HandlerState } from './handler-state.ts'
import type { Lane } from './lanes-port.ts'

/** A new thread may take some seconds to import what its handlers need. */
const leastMs = 5_000

/**
 * Pools that have lost their threads while the new ones do not get ready: a handler's file waits for something as it is
 * imported. After an ack wait, as if this supervisor had died, what such a pool holds goes back, uncharged, because
 * another supervisor may have threads. Nothing more is pulled until a thread is ready.
 */
export class ThreadlessPools {
  readonly #clock: Clock
  readonly #limitMs: number
  readonly #hooks: {
    lanesOf(pool: PoolName): readonly Lane[]
    handlersOf(pool: PoolName): readonly HandlerState[]
    changed(pool: PoolName, handlers: readonly HandlerState[], threadless: boolean): void
  }
  /** Pools without threads, with what calls the time off. */
  readonly #waiting = new Map<PoolName, () => void>()
  readonly #givenUp = new Set<PoolName>()
  /** Pools that have had a thread. */
  readonly #known = new Set<PoolName>()
  #running = false

  constructor(
    clock: Clock,
    ackWaitMs: number,
    hooks: {
      lanesOf(pool: PoolName): readonly Lane[]
      handlersOf(pool: PoolName): readonly HandlerState[]
      /** A pool has been without threads for too long, or has one again; its handlers know already. */
      changed(pool: PoolName, handlers: readonly HandlerState[], threadless: boolean): void
    },
  ) {
    this.#clock = clock
    this.#limitMs = Math.max(leastMs, ackWaitMs)
    this.#hooks = hooks
  }

  /** Those that take no jobs for now. */
  get names(): readonly PoolName[] {
    return [...this.#givenUp]
  }

  /** Jobs are pulled from now on. */
  start(): void {
    this.#running = true
    for (const pool of this.#known) this.laneGone(pool)
  }

  /** A thread takes no more jobs; perhaps it was the last one. */
  laneGone(pool: PoolName): void {
    if (!this.#running || this.#waiting.has(pool) || this.#hooks.lanesOf(pool).some((lane) => lane.open))
      return
    const cancel = this.#clock.after(this.#limitMs, () => this.#become(pool, true))
    this.#waiting.set(pool, cancel)
  }

  laneReady(pool: PoolName): void {
    this.#known.add(pool)
    this.#waiting.get(pool)?.()
    if (this.#waiting.delete(pool)) this.#become(pool, false)
  }

  stop(): void {
    this.#running = false
    for (const cancel of this.#waiting.values()) cancel()
    this.#waiting.clear()
  }

  #become(pool: PoolName, threadless: boolean): void {
    if (this.#givenUp.has(pool) === threadless) return
    if (threadless) this.#givenUp.add(pool)
    else this.#givenUp.delete(pool)
    const handlers = this.#hooks.handlersOf(pool)
    for (const handler of handlers) handler.threadless = threadless
    this.#hooks.changed(pool, handlers, threadless)
  }
}
