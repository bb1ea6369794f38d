import { BrokerEvents } from './broker-events.ts'
import { type DrainOrder, type DrainReport, drain } from './drain.ts'
import { type EngineOptions, EngineParts } from './engine-parts.ts'
import type { HandlerState } from './handler-state.ts'
import type { InFlight } from './in-flight.ts'
import { PoolEvents } from './pool-events.ts'

/** How long after the drain the release of handlers may take. */
const releaseMs = 500

/** Everything that moves: starts it, stops it, and says where what happens outside goes in. */
export class Engine {
  readonly fromBroker: BrokerEvents
  readonly fromPools: PoolEvents
  readonly parts: EngineParts
  readonly #options: EngineOptions

  constructor(options: EngineOptions) {
    this.#options = options
    this.parts = new EngineParts(options)
    this.fromBroker = new BrokerEvents(this.parts)
    this.fromPools = new PoolEvents(this.parts, options.observer, (stuckThreads) => {
      if (stuckThreads === options.stuckLimit + 1) options.restartWanted(stuckThreads)
    })
  }

  get handlers(): readonly HandlerState[] {
    return this.parts.handlers
  }

  get inFlight(): InFlight {
    return this.parts.inFlight
  }

  /** A job is here, or one has ended an attempt. */
  get hasHadJobs(): boolean {
    return this.inFlight.size > 0 || this.handlers.some(({ averageMs }) => averageMs !== undefined)
  }

  /** Learns what is paused and cancelled; to be awaited before `start`. Never rejects. */
  async obeyControls(): Promise<void> {
    await this.parts.controls.start()
  }

  start(): void {
    const { pools, heartbeat, arrivalAge, mover, owners, threadless } = this.parts
    pools.start()
    heartbeat.start()
    arrivalAge.start()
    mover?.start()
    owners.begin()
    threadless.start()
  }

  /** Stops taking, lets run, interrupts the rest and gives it back; see G8. */
  async drain(order: DrainOrder): Promise<DrainReport> {
    const { clock } = this.#options
    const { pools, mover, owners, limits, heartbeat, arrivalAge, deadlines, controls, threadless } =
      this.parts
    pools.stopPulling()
    threadless.stop()
    mover?.stop()
    let drained = (): void => {}
    const leaving = owners.leave(
      new Promise<void>((resolve) => {
        drained = resolve
      }),
    )
    const report = await drain({ ...this.parts, threads: this.fromPools }, clock, order)
    await limits.stop()
    const cancel = clock.after(releaseMs, drained)
    await leaving
    cancel()
    heartbeat.stop()
    arrivalAge.stop()
    deadlines.stop()
    controls.stop()
    return report
  }

  /** Pulls nothing more for these handlers: a thread could not load them. */
  withdraw(names: readonly string[]): void {
    for (const handler of this.handlers) if (names.includes(handler.profile.name)) handler.withdrawn = true
  }
}
