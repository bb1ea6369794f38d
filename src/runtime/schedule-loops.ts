import type { TickSchedule } from '../core/tick-plan.ts'
import { TickLoop } from '../engine/tick-loop.ts'
import type { TickStore } from '../engine/ticks-port.ts'
import type { TickTelemetry } from '../telemetry/tick-telemetry.ts'
import { systemClock } from './clock.ts'

/** The loops of all schedules of a supervisor. */
export class ScheduleLoops {
  readonly observer: TickTelemetry
  readonly #supervisorId: string
  #loops: readonly TickLoop[] = []

  constructor(supervisorId: string, observer: TickTelemetry) {
    this.#supervisorId = supervisorId
    this.observer = observer
  }

  start(schedules: readonly TickSchedule[], store: TickStore): void {
    const { observer } = this
    const parts = { store, clock: systemClock, observer, supervisorId: this.#supervisorId }
    this.#loops = schedules.map((schedule) => new TickLoop(schedule, parts))
    for (const loop of this.#loops) {
      observer.begin(loop.schedule)
      loop.start()
    }
  }

  /** Begins no further tick; resolves when those that are being published are. */
  async stop(): Promise<void> {
    await Promise.all(this.#loops.map((loop) => loop.stop()))
  }
}
