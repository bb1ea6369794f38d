import type { Broker } from './broker-port.ts'
import type { Clock } from './clock-port.ts'
import type { InFlight } from './in-flight.ts'
import type { InFlightJob } from './in-flight-job.ts'

/**
 * Renews the lease of everything that we hold, running or waiting, every third of the ack wait.
 *
 * 1. Each delivery held for a while gets its "in progress"; one barrier behind them proves that the
 *    server has them, and only then do they count as renewed.
 * 2. A delivery that was not renewed within the ack wait is lost: the broker hands it out again.
 * 3. A beat that comes so late that one more like it costs leases is told of: this process does not get a processor.
 */
export class Heartbeat {
  readonly #broker: Broker
  readonly #clock: Clock
  readonly #inFlight: InFlight
  readonly #ackWaitMs: number
  readonly #lost: (job: InFlightJob) => void
  readonly #late: (lateMs: number) => void
  #cancel: (() => void) | undefined
  #stopped = false

  constructor(parts: {
    broker: Broker
    clock: Clock
    inFlight: InFlight
    ackWaitMs: number
    lost: (job: InFlightJob) => void
    /** So much later than it should have. */
    late: (lateMs: number) => void
  }) {
    this.#broker = parts.broker
    this.#clock = parts.clock
    this.#inFlight = parts.inFlight
    this.#ackWaitMs = parts.ackWaitMs
    this.#lost = parts.lost
    this.#late = parts.late
  }

  start(): void {
    const everyMs = this.#ackWaitMs / 3
    const dueAt = this.#clock.monotonicMs() + everyMs
    this.#cancel = this.#clock.after(everyMs, () => {
      const lateMs = this.#clock.monotonicMs() - dueAt
      if (lateMs >= everyMs) this.#late(lateMs)
      this.beat()
      if (!this.#stopped) this.start()
    })
  }

  stop(): void {
    this.#stopped = true
    this.#cancel?.()
  }

  /** Also called on a new connection, because no heartbeat went out while there was none. */
  beat(): void {
    const now = this.#clock.monotonicMs()
    const renewed: InFlightJob[] = []
    for (const job of this.#inFlight.all()) {
      const ageMs = now - job.renewedAt
      if (job.leaseLost) continue
      if (ageMs >= this.#ackWaitMs) {
        this.#lost(job)
        continue
      }
      if (ageMs < this.#ackWaitMs / 6 || !this.#broker.connected) continue
      this.#broker.extend(job.reply)
      renewed.push(job)
    }
    if (renewed.length > 0) void this.#prove(renewed, now)
  }

  async #prove(renewed: readonly InFlightJob[], sentAt: number): Promise<void> {
    const { epoch } = this.#broker
    try {
      await this.#broker.barrier()
    } catch {
      return
    }
    if (this.#broker.epoch !== epoch) return
    for (const job of renewed) {
      // A redelivery that arrived meanwhile has renewed it later than that.
      if (sentAt > job.renewedAt && sentAt - job.renewedAt < this.#ackWaitMs) job.renewed(sentAt)
    }
  }
}
