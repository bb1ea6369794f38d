import type { Settings } from '../config/settings.ts'
import { MillraceError } from '../core/errors.ts'
import type { PoolName } from '../core/handler-definition.ts'
import type { Names } from '../core/names.ts'
import { Engine } from '../engine/engine.ts'
import type { InFlightJob } from '../engine/in-flight-job.ts'
import { TickLoop } from '../engine/tick-loop.ts'
import type { TickObserver, TickStore } from '../engine/ticks-port.ts'
import { profileOf } from '../runtime/handler-profiles.ts'
import { readSchedule } from '../schedules/schedule-reading.ts'
import type { LoadedHandler } from '../threads/handler-import.ts'
import type { ContextSink } from './captured-context.ts'
import { LocalPool } from './local-pool.ts'
import { type ManualClock, settled } from './manual-clock.ts'
import type { MemoryJobBroker } from './memory-job-broker.ts'
import type { MemorySharedState } from './memory-shared-state.ts'
import type { TestObserver } from './test-observer.ts'

/** What a supervisor in a test is made of. */
export interface TestSupervisorParts {
  readonly clock: ManualClock
  readonly broker: MemoryJobBroker
  readonly shared: MemorySharedState
  readonly ticks: TickStore
  readonly names: Names
  readonly observer: TestObserver
  readonly settings: Settings
  readonly handlers: readonly LoadedHandler[]
  /** Whether schedules of handlers publish jobs. */
  readonly schedules: boolean
  readonly random: () => number
  readonly patienceMs: number
  sinkOf(job: InFlightJob): ContextSink
}

/** Jobs at once of the `io` pool; more would show nothing more. */
const ioSlots = 10

const silent: TickObserver = {
  published() {},
  duplicate() {},
  skipped() {},
  missed() {},
  unavailable() {},
}

/**
 * A supervisor in this thread: the real engine, on the broker in memory and a clock that stands still.
 *
 * 1. It does nothing outside of `pass` and `drain`, except that a handler which still runs goes on.
 * 2. At each instant everything happens that can, and what runs is waited for in real time; then the clock moves to
 *    the next timer.
 */
export class TestSupervisor {
  readonly #parts: TestSupervisorParts
  readonly #engine: Engine
  readonly #pool: LocalPool
  readonly #ticks: readonly TickLoop[]
  #started: Promise<void> | undefined
  #busy = false

  constructor(parts: TestSupervisorParts) {
    this.#parts = parts
    const { settings, clock, broker, observer, handlers, ticks } = parts
    const profiles = handlers.map(({ name, options }) => profileOf(name, options, settings))
    const slots = new Map<PoolName, number>()
    if (profiles.some(({ pool }) => pool === 'cpu')) slots.set('cpu', settings.threads)
    if (profiles.some(({ pool }) => pool === 'io')) slots.set('io', ioSlots)
    this.#engine = new Engine({
      broker,
      shared: parts.shared,
      clock,
      observer,
      ticks,
      tickObserver: silent,
      random: parts.random,
      supervisorId: 'test',
      handlers: profiles,
      rooms: new Map([...slots].map(([pool, threads]) => [pool, { threads, concurrency: 1 }])),
      ackWaitMs: settings.ackWaitMs,
      limits: { deadlineLimitMs: settings.deadlineLimitMs, attemptsLimit: settings.attemptsLimit },
      stuckLimit: 1,
      finishedSlots: 1_024,
      restartWanted: () => {},
    })
    broker.listener = this.#engine.fromBroker
    this.#pool = new LocalPool({
      clock,
      engine: this.#engine,
      handlers: new Map(handlers.map((handler) => [handler.name, handler])),
      slots,
      resultMaxBytes: settings.resultMaxBytes,
      sinkOf: parts.sinkOf,
      ended: (job, end) => observer.locallyEnded(job, end),
    })
    const loop = { store: ticks, clock, observer: silent, supervisorId: 'test' }
    this.#ticks = schedulesOf(handlers).flatMap((schedule) =>
      parts.schedules ? [new TickLoop(schedule, loop)] : [],
    )
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
      const attemptsBefore = observer.attempts.length
      await this.#calm()
      while (this.#hasWork) {
        if (clock.nextAt > end) throw unfinished(`${limitMs} ms of the queue's time`)
        if (observer.attempts.length - attemptsBefore > mostAttempts)
          throw unfinished(`${mostAttempts} attempts`)
        clock.fire()
        await this.#calm()
      }
    })
  }

  /** A job is held here, or waits for a handler that is here and not paused. */
  get #hasWork(): boolean {
    if (this.#engine.inFlight.size > 0) return true
    const able = new Set(
      this.#engine.handlers.filter(({ paused }) => !paused).map(({ profile }) => profile.name),
    )
    for (const handler of this.#parts.broker.unsettled()) if (able.has(handler)) return true
    return false
  }

  async #drive(work: () => Promise<void>): Promise<void> {
    if (this.#busy) {
      throw new MillraceError(
        'invalid_job',
        'the queue is being advanced or drained already; await that first',
      )
    }
    this.#busy = true
    this.#parts.broker.running = true
    try {
      this.#started ??= this.#start()
      await this.#started
      await work()
    } finally {
      this.#parts.broker.running = false
      this.#busy = false
    }
  }

  async #start(): Promise<void> {
    await this.#engine.obeyControls()
    this.#engine.start()
    for (const loop of this.#ticks) loop.start()
  }

  /** Resolves when everything has happened that can at this instant, and nobody is waited for in real time. */
  async #calm(): Promise<void> {
    for (;;) {
      const before = this.#activity
      await settled()
      if (this.#activity !== before) continue
      if (!(await this.#pool.someEnd(this.#parts.patienceMs))) return
    }
  }

  get #activity(): number {
    return this.#pool.activity + this.#parts.broker.activity
  }
}

/** @throws {MillraceError} `invalid_definition` for a schedule that cannot be kept. */
function schedulesOf(handlers: readonly LoadedHandler[]) {
  return handlers.flatMap(({ name, options }) => {
    if (!options.schedule) return []
    const reading = readSchedule(name, name, options.schedule)
    if (reading.kind === 'problem') {
      throw new MillraceError('invalid_definition', `handler ${name}: schedule.${reading.problem}`)
    }
    return [reading.schedule]
  })
}

function unfinished(after: string): MillraceError {
  return new MillraceError(
    'drain_unfinished',
    `jobs were still waiting or running after ${after}: a handler snoozes or enqueues without an end, or a job is due later; use advance(ms), or give drain() a higher limit`,
  )
}
