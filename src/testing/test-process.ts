import type { Settings } from '../config/settings.ts'
import type { PoolName } from '../core/handler-definition.ts'
import type { Names } from '../core/names.ts'
import type { TickSchedule } from '../core/tick-plan.ts'
import { Engine } from '../engine/engine.ts'
import type { InFlightJob } from '../engine/in-flight-job.ts'
import { TickLoop } from '../engine/tick-loop.ts'
import type { TickObserver, TickStore } from '../engine/ticks-port.ts'
import { profileOf } from '../runtime/handler-profiles.ts'
import type { LoadedHandler } from '../threads/handler-import.ts'
import type { ContextSink } from './captured-context.ts'
import { LocalPool } from './local-pool.ts'
import type { ManualClock } from './manual-clock.ts'
import type { MemoryJobStore } from './memory-job-store.ts'
import { MemoryLink } from './memory-link.ts'
import type { MemorySharedState } from './memory-shared-state.ts'
import { MortalClock, MortalSharedState } from './mortal-parts.ts'
import type { TestObserver } from './test-observer.ts'

/** What a supervisor in a test is made of, and what is left of it when its process dies. */
export interface TestProcessParts {
  readonly clock: ManualClock
  readonly store: MemoryJobStore
  readonly shared: MemorySharedState
  readonly ticks: TickStore
  readonly names: Names
  readonly observer: TestObserver
  readonly settings: Settings
  readonly handlers: readonly LoadedHandler[]
  /** Those that publish jobs. */
  readonly schedules: readonly TickSchedule[]
  readonly random: () => number
  sinkOf(job: InFlightJob): ContextSink
}

/** Jobs at once of the `io` pool, at most; more would show nothing more. */
const mostIoSlots = 10

const silent: TickObserver = {
  published() {},
  duplicate() {},
  skipped() {},
  missed() {},
  unavailable() {},
}

/** A process with the real engine, in this thread. */
export class TestProcess {
  readonly engine: Engine
  readonly pool: LocalPool
  readonly link: MemoryLink
  readonly #clock: MortalClock
  readonly #shared: MortalSharedState
  readonly #ticks: readonly TickLoop[]
  #started: Promise<void> | undefined

  constructor(supervisorId: string, parts: TestProcessParts) {
    const { settings, store, observer, handlers, ticks, names } = parts
    const clock = new MortalClock(parts.clock)
    this.#clock = clock
    this.#shared = new MortalSharedState(parts.shared)
    this.link = new MemoryLink(store, clock, names)
    const profiles = handlers.map(({ name, options }) => profileOf(name, options, settings))
    const slots = new Map<PoolName, number>()
    if (profiles.some(({ pool }) => pool === 'cpu')) slots.set('cpu', settings.threads)
    if (profiles.some(({ pool }) => pool === 'io')) {
      slots.set('io', Math.min(mostIoSlots, settings.ioThreads * settings.ioConcurrency))
    }
    this.engine = new Engine({
      broker: this.link,
      shared: this.#shared,
      clock,
      observer,
      ticks,
      tickObserver: silent,
      random: parts.random,
      supervisorId,
      handlers: profiles,
      rooms: new Map([...slots].map(([pool, threads]) => [pool, { threads, concurrency: 1 }])),
      ackWaitMs: settings.ackWaitMs,
      limits: { deadlineLimitMs: settings.deadlineLimitMs, attemptsLimit: settings.attemptsLimit },
      stuckLimit: 1,
      finishedSlots: 1_024,
      restartWanted: () => {},
    })
    this.pool = new LocalPool({
      clock,
      engine: this.engine,
      handlers: new Map(handlers.map((handler) => [handler.name, handler])),
      slots,
      resultMaxBytes: settings.resultMaxBytes,
      sinkOf: parts.sinkOf,
      ended: (job, end) => observer.locallyEnded(job, end),
    })
    const loop = { store: ticks, clock, observer: silent, supervisorId }
    this.#ticks = parts.schedules.map((schedule) => new TickLoop(schedule, loop))
  }

  /** Begins to work; the second time nothing happens. */
  async start(): Promise<void> {
    this.#started ??= this.engine.obeyControls().then(() => {
      this.engine.start()
      this.link.listen(this.engine.fromBroker)
      for (const loop of this.#ticks) loop.start()
    })
    await this.#started
  }

  /** It is gone, at once and without a word; handlers that run go on, and nobody hears of them. */
  end(): void {
    this.#clock.end()
    this.#shared.end()
    this.link.end()
    this.pool.end()
  }
}
