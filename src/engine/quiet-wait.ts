import type { Broker } from './broker-port.ts'
import type { Clock } from './clock-port.ts'
import type { HandlerState } from './handler-state.ts'
import type { InFlight } from './in-flight.ts'
import type { InFlightJob } from './in-flight-job.ts'

const lookMs = 100
/** So many looks in a row have to show nothing elsewhere: a pull that was just sent may not be counted yet. */
const looksInARow = 2

/**
 * Waits until no job of a handler is anywhere but here.
 *
 * What other supervisors have, or had when they died, or gave back and nobody has taken yet, the broker counts as
 * not acked. When it counts no more of them than we hold, and no pull but ours is open, everything that is still
 * to come was published later than what we hold. That does not depend on anybody's clock or lease. Deliveries
 * that wait at the broker for a later attempt count too, so the wait has a bound.
 *
 * A broker that was killed may have forgotten what it had delivered to us. So what arrived before the last reconnect
 * is not counted as ours: it could stand for a job that is elsewhere.
 */
export class QuietWait {
  readonly #handler: HandlerState
  readonly #broker: Broker
  readonly #clock: Clock
  readonly #inFlight: InFlight
  readonly #reconnectedAt: () => number
  readonly #quiet: () => void
  #turn = 0
  #boundMs = 0
  #boundAt = 0
  #quietLooks = 0

  constructor(
    handler: HandlerState,
    parts: { broker: Broker; clock: Clock; inFlight: InFlight; reconnectedAt(): number },
    quiet: () => void,
  ) {
    this.#handler = handler
    this.#broker = parts.broker
    this.#clock = parts.clock
    this.#inFlight = parts.inFlight
    this.#reconnectedAt = parts.reconnectedAt
    this.#quiet = quiet
  }

  /** Begins anew; a wait that is under way ends no sooner for it. */
  begin(boundMs: number): void {
    const now = this.#clock.monotonicMs()
    this.#boundAt = Math.max(this.#turn > 0 ? this.#boundAt : 0, now + boundMs)
    this.#boundMs = this.#boundAt - now
    this.#quietLooks = 0
    this.#turn += 1
    const turn = this.#turn
    // Many jobs may be lost at once.
    queueMicrotask(() => {
      if (turn === this.#turn) void this.#look(turn)
    })
  }

  stop(): void {
    this.#turn += 1
    this.#boundAt = 0
  }

  async #look(turn: number): Promise<void> {
    const now = this.#clock.monotonicMs()
    // Nothing that was given back can come again while nothing is pulled.
    if (this.#handler.halted || !this.#broker.connected) this.#boundAt = now + this.#boundMs
    else if (now >= this.#boundAt || (await this.#isQuiet())) {
      if (turn !== this.#turn) return
      this.stop()
      this.#quiet()
      return
    }
    this.#clock.after(lookMs, () => {
      if (turn === this.#turn) void this.#look(turn)
    })
  }

  async #isQuiet(): Promise<boolean> {
    const before = new Set(this.#ours())
    try {
      const { deliveries, otherPulls } = await this.#broker.readOutstanding(this.#handler.profile.name)
      const after = this.#ours()
      const since = this.#reconnectedAt()
      const held = after.filter((job) => before.has(job) && job.arrivedAt >= since).length
      const quiet = otherPulls <= 0 && deliveries <= held && after.every((job) => job.attempt > 0)
      this.#quietLooks = quiet ? this.#quietLooks + 1 : 0
    } catch {
      this.#quietLooks = 0
    }
    return this.#quietLooks >= looksInARow
  }

  #ours(): InFlightJob[] {
    return [...this.#inFlight.all()].filter(
      (job) => job.handler === this.#handler && !job.leaseLost && !job.orphaned,
    )
  }
}
